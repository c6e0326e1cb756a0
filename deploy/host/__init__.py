"""What belongs to the whole server: packages, Docker, firewall, files."""
