"""What is no tab: who may ask and how much (door, hosts, logins, connections, uploads), what stands before
the routes (guard), what is kept of visitors (visitors, sessions), health, cheap updates, early imports."""
