"""The host, shared by all sites: packages, Docker, firewall, files."""
