"""Cancels those jobs of the chaos test that are there for it, whatever state they are in by then: waiting, delayed,
claimed, running, given back, or with a worker that is believed dead.

A job's moment comes a random while after its push. One job in three is cancelled as an operator would, by `isoq
cancel`; the others over the channel (queue/PROTOCOL.md), which reaches only a worker that runs the job and listens at
that moment, and is therefore repeated. Nothing is taken for granted from an exit status or a number of listeners: it
goes on until there is a result, and what that must be is in jobs.py.

A push that was made twice left a copy of the job, which runs for long when nobody stops it: so the channel is used for
a while after the result as well.
"""
import os
import subprocess
import threading
import time
import traceback

from rig import RedisError, bin_dir, program_environment

LATEST_S = 1.2            # after the push, the first try
BY_PROGRAM = 0.33
AGAIN_S = 0.15
PROGRAM_AGAIN_S = 1.0
PROGRAM_PATIENCE_S = 15   # it gives up by itself after 5 s; a Redis may stand still for 3 s
COPIES_S = 40             # after the result


class Target:
    def __init__(self, job, chance):
        self.job, self.by_program = job, chance.random() < BY_PROGRAM
        self.next_at = time.monotonic() + LATEST_S * chance.random()
        self.forget_at = None
        self.process, self.kill_at = None, 0

    def end_program(self, at_once=False):
        """True: none is at work."""
        if self.process is None:
            return True
        if at_once or time.monotonic() > self.kill_at:
            self.process.kill()
            self.process.wait()
        elif self.process.poll() is None:
            return False
        self.process = None
        return True


class Canceller(threading.Thread):
    def __init__(self, setting, chance, queues):
        super().__init__(daemon=True)
        self.setting, self.chance, self.queues = setting, chance, queues
        self.targets, self.new, self.lock = [], [], threading.Lock()
        self.connection, self.stopping, self.failure = None, threading.Event(), None
        self.published = self.heard = self.programs = 0

    def add(self, job):
        """By the producer, when it begins to push."""
        with self.lock:
            self.new.append(Target(job, self.chance))

    def run(self):
        try:
            while not self.stopping.is_set():
                with self.lock:
                    self.targets += self.new
                    self.new = []
                for target in self.targets:
                    if time.monotonic() >= target.next_at:
                        self.turn(target)
                self.targets = [one for one in self.targets if one.forget_at is None or time.monotonic() < one.forget_at]
                self.stopping.wait(0.02)
        except Exception:  # shown by the main thread
            self.failure = traceback.format_exc()
        for target in self.targets:
            target.end_program(at_once=True)

    def turn(self, target):
        job = target.job
        if target.forget_at is None and self.ask('LLEN', job.key('reply')):
            target.forget_at = time.monotonic() + (COPIES_S if job.pushes != 1 else 0)
        again_s = AGAIN_S
        if target.by_program and target.forget_at is None:
            again_s = PROGRAM_AGAIN_S
            if target.end_program():
                self.start_program(target)
        elif target.end_program():
            listeners = self.ask('PUBLISH', f'isoq:{{{job.queue}}}:cancel', job.id)
            self.published += listeners is not None
            self.heard += listeners or 0
        target.next_at = time.monotonic() + again_s

    def start_program(self, target):
        self.programs += 1
        target.kill_at = time.monotonic() + PROGRAM_PATIENCE_S
        with open(self.setting.rig.path('cancels.log'), 'ab') as log:
            target.process = subprocess.Popen(
                [os.path.join(bin_dir(), 'isoq'), 'cancel', target.job.id, '--json', '--redis',
                 f'unix://{self.setting.redis.socket}', '--queue', ','.join(self.queues)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=program_environment())
        self.setting.rig.processes.append(target.process)

    def ask(self, *words):
        """None: Redis is not there, or not ready."""
        try:
            if self.connection is None:
                self.connection = self.setting.redis.connect(5)
            return self.connection(*words)
        except RedisError:
            return None
        except OSError:
            if self.connection:
                self.connection.close()
            self.connection = None
            return None

    def end(self):
        self.stopping.set()
        self.join(60)

    def line(self):
        return f'told {self.published} times over the channel ({self.heard} listeners), {self.programs} times by isoq cancel'
