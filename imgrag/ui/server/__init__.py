"""What is no tab: what stands before the routes, health, sessions, cheap updates, early imports."""
