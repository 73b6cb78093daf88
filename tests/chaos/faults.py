"""What goes wrong in the chaos test, when, and how it is put right again.

The schedule is made from the seed alone, before anything runs: rounds of all kinds of fault, shuffled, with random
gaps, so that even a short run has each of them, and two runs of one seed do the same things at the same times. What
they hit then depends on the machine.
"""
import heapq
import itertools
import signal
import time

from rig import RedisError, children, send_signal

MEAN_GAP_S = 0.7


class Faults:
    """Applies a schedule to a setting: `workers` (list), `redis`, `proxy`, new_worker(), retire(worker)."""

    def __init__(self, setting, chance, seconds):
        self.setting, self.counts = setting, {}
        self.executors_killed = self.redis_deaths = 0
        self.due, self.order = [], itertools.count()
        self.redis_busy_until = 0.0
        kinds = sorted(name for name in dir(self) if name.startswith('fault_'))
        at = 0.5
        while at < seconds:
            for name in chance.sample(kinds, len(kinds)):
                if at < seconds:
                    self.at(at, getattr(self, name), [chance.random() for _ in range(4)])
                at += chance.uniform(0.2, 1.8) * MEAN_GAP_S

    def at(self, when, what, dice=None):
        heapq.heappush(self.due, (when, next(self.order), what, dice))

    def run(self, started, until_s):
        """Everything due before `until_s` seconds after `started`; then at once whatever puts things right."""
        while self.due and self.due[0][0] < until_s:
            when, _, what, dice = heapq.heappop(self.due)
            time.sleep(max(0.0, started + when - time.monotonic()))
            self.apply(when, what, dice)
        time.sleep(max(0.0, started + until_s - time.monotonic()))
        while self.due:
            when, _, what, dice = heapq.heappop(self.due)
            if dice is None:
                what()

    def apply(self, when, what, dice):
        if dice is None:
            what()
            return
        name = what(when, dice)
        if name:
            self.counts[name] = self.counts.get(name, 0) + 1

    def a_worker(self, die):
        workers = [worker for worker in self.setting.workers if worker.alive()]
        return workers[int(die * len(workers))] if workers else None

    # ---- workers

    def fault_kill_worker(self, when, dice):
        worker = self.a_worker(dice[0])
        if worker is None:
            return None
        self.setting.retire(worker)
        worker.kill()
        self.at(when + dice[1], self.setting.new_worker)
        return 'kill worker'

    def fault_stop_worker(self, when, dice):
        """For longer than its lease, two times of three."""
        worker = self.a_worker(dice[0])
        if worker is None:
            return None
        worker.process.send_signal(signal.SIGSTOP)
        self.at(when + 1 + 3 * dice[1], lambda: send_signal(worker.pid, signal.SIGCONT))
        return 'stop worker'

    def fault_drain_worker(self, when, dice):
        worker = self.a_worker(dice[0])
        if worker is None:
            return None
        self.setting.retire(worker, draining=True)
        worker.process.send_signal(signal.SIGTERM)
        self.at(when + dice[1], self.setting.new_worker)
        return 'drain worker'

    # ---- executors

    def an_executor(self, dice):
        worker = self.a_worker(dice[0])
        executors = sorted(children(worker.pid)) if worker else []
        return executors[int(dice[1] * len(executors))] if executors else None

    def fault_kill_executor(self, _, dice):
        pid = self.an_executor(dice)
        if pid is None or not send_signal(pid, signal.SIGKILL):
            return None
        self.executors_killed += 1
        return 'kill executor'

    def fault_stop_executor(self, when, dice):
        pid = self.an_executor(dice)
        if pid is None or not send_signal(pid, signal.SIGSTOP):
            return None
        self.at(when + 0.5 + 3 * dice[2], lambda: send_signal(pid, signal.SIGCONT))
        return 'stop executor'

    # ---- Redis

    def fault_kill_redis(self, when, dice):
        if when < self.redis_busy_until:
            return None
        self.redis_busy_until = when + 1.5 * dice[0]
        self.setting.redis.kill()
        self.redis_deaths += 1
        self.at(self.redis_busy_until, self.setting.redis.start)
        return 'kill Redis'

    def fault_stop_redis(self, when, dice):
        """At times for longer than all leases."""
        if when < self.redis_busy_until:
            return None
        self.redis_busy_until = when + 0.3 + 3 * dice[0]
        self.setting.redis.signal(signal.SIGSTOP)
        self.at(self.redis_busy_until, lambda: self.setting.redis.signal(signal.SIGCONT))
        return 'stop Redis'

    def ask_redis(self, when, name, *words):
        if when < self.redis_busy_until:
            return None
        try:
            redis = self.setting.redis.connect(2)
            redis(*words)
            redis.close()
        except (OSError, RedisError):  # it is just starting, or slow
            return None
        return name

    def fault_forget_scripts(self, when, _):
        return self.ask_redis(when, 'SCRIPT FLUSH', 'SCRIPT', 'FLUSH')

    def fault_kill_clients(self, when, _):
        self.ask_redis(when, 'CLIENT KILL', 'CLIENT', 'KILL', 'TYPE', 'pubsub')
        return self.ask_redis(when, 'CLIENT KILL', 'CLIENT', 'KILL', 'TYPE', 'normal')

    # ---- the network

    def fault_cut_reply(self, _, dice):
        self.setting.proxy.cut(True, dice[0], dice[1] < 0.3, dice[2])
        return 'cut reply'

    def fault_cut_all_replies(self, _, dice):
        self.setting.proxy.cut(True, dice[0], True, 0)
        return 'cut reply'

    def fault_cut_command(self, _, dice):
        self.setting.proxy.cut(False, dice[0], dice[1] < 0.3, dice[2])
        return 'cut command'

    def fault_stall(self, when, dice):
        self.setting.proxy.stall()
        self.at(when + 0.3 + 3 * dice[0], self.setting.proxy.flow)
        return 'stall'

    def fault_refuse(self, when, dice):
        if self.setting.refusing:
            return None
        self.setting.refusing = True
        self.setting.proxy.refuse()
        self.at(when + 0.3 + 1.5 * dice[0], self.setting.accept)
        return 'refuse'

    def summary(self):
        listed = ', '.join(f'{name} {count}' for name, count in sorted(self.counts.items()))
        return f'{sum(self.counts.values())} ({listed})'
