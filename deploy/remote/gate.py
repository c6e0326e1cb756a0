"""Visit each web container of a release until all are healthy. See gate.sh.

gate.py SEEN COMPOSE URL SECONDS PROTOCOL PORT...
SECONDS: the time limit, or empty for a single visit of a release that was healthy before. SEEN: a folder for the
result: "well" (JSON), or "name", "why", "log", "answer", "way" and "request" of the container that isn't healthy.
"""

import json
import os
import subprocess
import sys
import time

from visit import Container, Edge, visit

LOOKS = 5  # after so many equal answers, a second apart, give up
FALLEN = '. "$PORTSIDE/remote/lib.sh"; fallen "$@"'


class Gate:
    def __init__(self, seen, compose, url, edge, protocol, ports):
        self.seen, self.compose, self.url, self.edge = seen, compose, url, edge
        self.containers = [Container(edge, int(port), protocol) for port in ports]

    def ask(self):
        """Visit all containers up to the first unhealthy one. Returns its name and its visit."""
        for number, container in enumerate(self.containers, 1):
            name, made = f"web-{number}", visit(self.url, self.edge, container)
            if made.fault:
                break
        return name, made

    def fallen(self):
        """Return the name of the first container that has stopped, or an empty string."""
        words = ("sh", "-c", FALLEN, "sh", self.compose, str(len(self.containers)))
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
        return done.stdout.partition("\n")[0]

    def wait(self, seconds):
        """Visit until all are healthy. Gives up early if a running application repeats the same answer."""
        limit, before, looks = time.monotonic() + seconds, "", 0
        while True:
            name, made = self.ask()
            if not made.fault:
                return made
            if ended := self.fallen():
                self.refuse(ended, made, "it started and exited.")
            looks = looks + 1 if made.settled and (name, made.fault) == before else 1
            before = (name, made.fault)
            if made.settled and looks == LOOKS:
                self.refuse(name, made, made.fault)
            if time.monotonic() >= limit:
                self.refuse(name, made, f"{made.fault} Portside tried for {seconds} s (DEPLOY_HEALTH_TIMEOUT).")
            time.sleep(1 if made.settled else 0.2)

    def look_again(self):
        """Visit once more: an application can die after its first answers."""
        name, made = self.ask()
        if ended := self.fallen():
            self.refuse(ended, made, "it exited after its first answers.")
        if made.fault:
            self.refuse(name, made, f"{made.fault} It was healthy before.")
        return made

    def refuse(self, name, made, why):
        status = made.answer.status
        log = {3: 0, 4: 6, 5: 6}.get(status // 100, 18)  # number of log lines to show beside the answer
        self.note(name=name, why=why, log=str(log), answer=made.answer.text(), way="\n".join(made.lines))
        if status >= 500:
            self.note(request=made.request(self.edge))
        sys.exit(1)

    def note(self, **found):
        for name, text in found.items():
            with open(os.path.join(self.seen, name), "w", encoding="utf-8") as stream:
                stream.write(text)


def main(seen, compose, url, seconds, protocol, *ports):
    edge = Edge.load(os.path.join(os.environ["PORTSIDE_FILES"], "nginx.json"))
    gate = Gate(seen, compose, url, edge, protocol, ports)
    made = gate.wait(int(seconds)) if seconds else gate.look_again()
    gate.note(well=json.dumps({"way": [url for url, _ in made.way], "elsewhere": made.elsewhere}))


main(*sys.argv[1:])
