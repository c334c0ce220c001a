"""Where a library's entries and vectors are kept: one protocol, an embedded engine and a remote one."""
