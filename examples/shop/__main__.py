"""The command line: `python -m examples.shop <command>`."""

import argparse
import json
import signal
import sys
import time
from dataclasses import asdict

from examples.shop.settings import COMPONENTS, OperatorError, Settings

# Repeated here, so that `serve` does not load what only `inject` needs.
FAULT_NAMES = ("crash", "hang", "bad-config", "leak", "provider-down", "bursts")
_WATCH_S = 1.0


def main() -> int:
    arguments = _parser().parse_args()
    settings = Settings.load(arguments.data_dir, arguments.base_port, arguments.database_url)
    if arguments.command == "serve":
        # The only import of this path: a component starts as fast as its own libraries allow.
        from examples.shop.process import serve

        return serve(arguments.component, settings)
    from examples.shop import supervise

    match arguments.command:
        case "init":
            supervise.write_defaults(settings)
            print(f"configuration is in {settings.payments_config.parent}")
        case "run":
            return _run(settings, arguments.detach)
        case "stop":
            stopped = supervise.stop_all(settings)
            print(f"stopped: {', '.join(stopped) or 'nothing was running'}; nothing is left")
        case "status":
            return _status(settings)
        case "inject":
            return _inject(settings, arguments)
        case "cleanup":
            return _cleanup(settings, arguments.fault)
    return 0


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--data-dir", help="SHOP_DATA_DIR; default .homeostat/shop")
    shared.add_argument("--base-port", type=int, help="SHOP_BASE_PORT; default 9100; eight ports from there")
    shared.add_argument("--database-url", help="SHOP_DATABASE_URL; postgresql://user:password@host:port/database")
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description="A small shop that really breaks.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", parents=[shared], help="run one component here").add_argument(
        "component", choices=COMPONENTS
    )
    run = commands.add_parser("run", parents=[shared], help="run everything until Ctrl-C")
    run.add_argument("--detach", action="store_true", help="return once all is ready")
    commands.add_parser("init", parents=[shared], help="write the default configuration where it is absent")
    commands.add_parser("stop", parents=[shared], help="stop everything and verify that nothing is left")
    commands.add_parser("status", parents=[shared], help="what runs; exit status 1 unless all is healthy")
    inject = commands.add_parser("inject", parents=[shared], help="break something")
    inject.add_argument("fault", choices=FAULT_NAMES)
    inject.add_argument("--edit", default="path", help="bad-config: path, port or timeout")
    inject.add_argument("--seconds", type=float, default=30.0, help="bursts: how long")
    cleanup = commands.add_parser("cleanup", parents=[shared], help="undo faults that nobody healed, and verify")
    cleanup.add_argument("fault", choices=FAULT_NAMES, nargs="?", help="default: all that are in force")
    return parser


def _run(settings: Settings, detach: bool) -> int:
    from examples.shop import supervise

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    children = []
    try:
        children = supervise.start_all(settings, progress=lambda line: print(line, flush=True))
        if detach:
            print(f"running; stop with: python -m examples.shop stop --data-dir {settings.data_dir}")
            return 0
        print(f"the shop is open at {settings.url('edge')}; Ctrl-C closes it", flush=True)
        while True:
            time.sleep(_WATCH_S)
            for child in [child for child in children if child.poll() is not None]:
                children.remove(child)
                print(f"pid {child.pid} ended with status {child.returncode}", flush=True)
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half the shop behind
    stopped = supervise.stop_all(settings)
    supervise.reap(children)
    print(f"stopped: {', '.join(stopped) or 'nothing was running'}; nothing is left")
    return 0


def _status(settings: Settings) -> int:
    from examples.shop import supervise

    entries = supervise.status(settings)
    for entry in entries:
        health = "healthy" if entry.healthy else "not healthy"
        print(f"{entry.component:<11} {entry.state:<8} {health:<12} {entry.pid or '-'}")
    return 0 if all(entry.healthy for entry in entries) else 1


def _inject(settings: Settings, arguments: argparse.Namespace) -> int:
    from examples.shop.faults import FAULTS, BadConfig, Bursts

    match arguments.fault:
        case BadConfig.name:
            injection = BadConfig(settings, arguments.edit).inject()
        case Bursts.name:
            injection = Bursts(settings, arguments.seconds).inject()
        case name:
            injection = FAULTS[name](settings).inject()
    print(json.dumps(asdict(injection)))
    return 0


def _cleanup(settings: Settings, fault: str | None) -> int:
    from examples.shop.faults import FAULTS, clean_all

    if fault is None:
        cleaned = clean_all(settings)
    else:
        FAULTS[fault](settings).clean()
        cleaned = [fault]
    print(f"clean and verified: {', '.join(cleaned) or 'no fault was in force'}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OperatorError as problem:
        sys.exit(f"shop: {problem}")
