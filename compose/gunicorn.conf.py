"""Gunicorn's settings for every site, read inside the container. Names an older Gunicorn lacks are passed over."""

import os

# Nginx uses the socket, the gate and people the port, which is published on the host's loopback only.
bind = ["unix:" + os.environ["PORTSIDE_SOCKET"], "0.0.0.0:8000"]
protocol = os.environ["PORTSIDE_PROTOCOL"]
umask = 0o117  # the socket is the application's and Nginx's, nobody else's
chdir = os.environ.get("PORTSIDE_FOLDER", ".")

worker_class = os.environ["PORTSIDE_WORKER_CLASS"]
workers = int(os.environ["PORTSIDE_WORKERS"])
threads = int(os.environ["PORTSIDE_THREADS"])
worker_tmp_dir = "/dev/shm"  # a heartbeat on a disk can block

timeout = 30
graceful_timeout = 30
keepalive = 75
backlog = 1024
preload_app = True

limit_request_line = 8190  # what Nginx lets through
forwarded_allow_ips = "*"  # the socket and a loopback port are the only ways in
uwsgi_allow_ips = "*"
control_socket_disable = True  # the file system is read-only

accesslog = None  # Nginx writes one
errorlog = "-"
capture_output = False
proc_name = os.environ["PORTSIDE_PROJECT"]
