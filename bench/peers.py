"""The peers, from npm into bench/peers/node_modules: exact versions (peers/package.json), no lock file.

What cannot be installed is left out, with the reason, and the tables say so. A second run finds everything there. The
folder is made aside and moved into place, so that an interrupted installation leaves nothing half done.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess

from support import die_with_parent

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'peers')
MODULES = os.path.join(HERE, 'node_modules')
ASIDE = os.path.join(HERE, 'node_modules.new')
STATE = os.path.join(MODULES, '.isoq-bench.json')
NPM = ['npm', 'install', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error',
       '--fetch-retries=1']
PATIENCE_S = 1200
# What each one must be able to do; node is asked, or the program itself, so that a broken one is found here. The
# programs are called directly: node scripts in between would be an unfair cost.
CHECKS = {
    'bullmq': ['node', '--input-type=module', '-e', "await import('bullmq'); await import('ioredis')"],
    'isolated-vm': ['node', '--no-node-snapshot', '--input-type=module', '-e',
                    "const {default: ivm} = await import('isolated-vm'); new ivm.Isolate().dispose()"],
    'deno': ['deno', '--version'],
    'workerd': ['workerd', '--version'],
}


def run(arguments, cwd, environment=None):
    """→ None, or what went wrong, in one line."""
    try:
        done = subprocess.run(arguments, cwd=cwd, env={**os.environ, **(environment or {})}, timeout=PATIENCE_S,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              preexec_fn=die_with_parent)
    except FileNotFoundError:
        return f'{arguments[0]} is not installed'
    except subprocess.TimeoutExpired:
        return f'{arguments[0]} did not end within {PATIENCE_S} s'
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stdout.decode('utf-8', 'replace').splitlines() if line.strip()]
    telling = [re.sub(r'^npm (error|ERR!) ', '', line) for line in lines if 'rror' in line and 'error code' not in line]
    # It goes into RESULTS.md, where addresses and folders of one machine have no place.
    text = '; '.join(telling or lines[-1:] or ['no message'])
    return re.sub(r'(https?|file)://\S+|(?<![\w.])/[^\s:\'"]+', '…', text)[:160]


def wanted():
    with open(os.path.join(HERE, 'package.json'), encoding='utf-8') as file:
        return json.load(file)['dependencies']


def stamp():
    """Another list of peers, or another node, wants another installation."""
    node = subprocess.run(['node', '--version'], capture_output=True, text=True, check=False).stdout
    with open(os.path.join(HERE, 'package.json'), 'rb') as file:
        return hashlib.sha256(file.read() + node.encode()).hexdigest()


def program(name, modules=MODULES):
    """The path of deno or workerd, of the package for this kind of machine. None: it is not there."""
    scope, tail = {'deno': ('@deno', 'deno'), 'workerd': ('@cloudflare', os.path.join('bin', 'workerd'))}[name]
    folder = os.path.join(modules, scope)
    for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, entry, tail)
        if os.access(path, os.X_OK):
            return path
    return None


def build_isolated_vm():
    """From its source where node's headers are here; else npm's way, which fetches a binary or the headers."""
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(shutil.which('node') or 'node')))
    environment = {}
    if os.path.exists(os.path.join(prefix, 'include', 'node', 'node_version.h')):
        environment = {'npm_config_nodedir': prefix, 'npm_config_build_from_source': 'true'}
    return run(['npm', 'rebuild', 'isolated-vm', '--loglevel=error'], ASIDE, environment)


def install():
    """→ {peer: None, or why it is not there}"""
    shutil.rmtree(ASIDE, ignore_errors=True)
    os.makedirs(ASIDE)
    missing, manifest = {}, {'private': True, 'type': 'module', 'dependencies': {}}

    def add(packages):
        manifest['dependencies'].update(packages)
        with open(os.path.join(ASIDE, 'package.json'), 'w', encoding='utf-8') as file:
            json.dump(manifest, file)
        why = run(NPM, ASIDE)
        if why:
            for name in packages:
                del manifest['dependencies'][name]
        return why

    if shutil.which('npm') is None:
        return {name: 'npm is not installed' for name in CHECKS}
    packages = wanted()
    if add(packages):  # one that is not to be had must not cost the others
        for name, version in packages.items():
            missing[name] = add({name: version})
    if not missing.get('isolated-vm'):
        missing['isolated-vm'] = build_isolated_vm()
    for name, command in CHECKS.items():
        if command[0] != 'node':
            command = [program(name, os.path.join(ASIDE, 'node_modules')) or name] + command[1:]
        missing[name] = missing.get(name) or run(command, ASIDE)
    missing['bullmq'] = missing['bullmq'] or missing.pop('ioredis', None) or None
    shutil.rmtree(MODULES, ignore_errors=True)
    os.makedirs(os.path.join(ASIDE, 'node_modules'), exist_ok=True)
    os.rename(os.path.join(ASIDE, 'node_modules'), MODULES)
    shutil.rmtree(ASIDE)
    missing = {name: missing[name] for name in CHECKS}
    with open(STATE, 'w', encoding='utf-8') as file:
        json.dump({'stamp': stamp(), 'missing': missing}, file)
    return missing


def ready():
    """→ {peer: None, or why it is not there}; installs where something is new, or was missing the last time."""
    try:
        with open(STATE, encoding='utf-8') as file:
            state = json.load(file)
    except (OSError, ValueError):
        state = {}
    if shutil.which('node') is None:
        return {name: 'node is not installed' for name in CHECKS}
    if state.get('stamp') == stamp() and not any(state['missing'].values()):
        return state['missing']
    print('installing the peers from npm (minutes, once) …', flush=True)
    return install()
