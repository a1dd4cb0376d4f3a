"""`tuhono operator`: who may administer over the management API, and what they prove themselves with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuhono.cli.context import AsJson, ConfigFile, DataDir, desk
from tuhono.cli.output import print_facts, print_json, print_table, say
from tuhono.cli.questions import Yes, require_yes

if TYPE_CHECKING:
    from kernel.exchange import Caller
    from tenant.operator_administration import OperatorAdministration
    from tenant.operators import ApiKey, Operator

ROLES = ("admin", "editor", "viewer")
PASSWORD_LINE_MAX_CHARS = 4096

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Operators of the management API.")

OperatorName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the operator.")]
PasswordFromInput = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]
Tenants = Annotated[
    list[str] | None,
    typer.Option("--tenant", metavar="TENANT", help="A tenant it reaches; may be repeated. None given: all tenants."),
]
KeyDays = Annotated[
    float | None, typer.Option("--days", metavar="N", help="Days the API key is good for; default: until revoked.")
]


def _role(given: str | None) -> str | None:
    if given is not None and given not in ROLES:
        raise typer.BadParameter(f"{given!r} is no role; there are {', '.join(ROLES)}")
    return given


@app.command()
def create(
    name: OperatorName,
    role: Annotated[
        str, typer.Option(metavar="ROLE", callback=_role, help="admin, the default, editor (writes) or viewer (reads).")
    ] = "admin",
    tenants: Tenants = None,
    password_stdin: PasswordFromInput = False,
    key: Annotated[bool, typer.Option("--key", help="Make an API key, too, and print it: only this once.")] = False,
    days: KeyDays = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Create an operator.

    It proves itself with its password, or with an API key. Give it no more than it needs: --role, --tenant.
    """
    from tenant.operators import Role

    members: dict[str, Any] = {
        "role": Role(role),
        "tenants": frozenset(tenants) if tenants else None,
        "password": _password_from_input() if password_stdin else None,
    }
    secret: str | None = None
    with _operators(config, data_dir, make=True) as (operators, by):
        if key:
            made, _, secret = operators.create_with_key(by, name, key_days=days, **members)
        else:
            made = operators.create(by, name, **members)
    if as_json:
        print_json({**_as_json(made), **({} if secret is None else {"key": secret})})
        return
    say(f"created operator {made.name}: {made.role.value} of {_tenants(made)}")
    if secret is not None:
        _tell_key(secret)
    elif not password_stdin:
        say(f"it has nothing to prove itself with yet: `tuhono operator key {made.name}` makes an API key")


@app.command("list")
def list_(as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """List all operators.

    With --json one object a line.
    """
    with _operators(config, data_dir) as (operators, by):
        found = list(operators.all(by))
    if as_json:
        for operator in found:
            print_json(_as_json(operator))
        return
    rows = [(o.name, o.role.value, _reach(o), o.enabled) for o in found]
    print_table(("OPERATOR", "ROLE", "TENANTS", "ENABLED"), rows, empty="there are no operators yet")


@app.command()
def show(name: OperatorName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Show an operator and its API keys, but no secret."""
    with _operators(config, data_dir) as (operators, by):
        found, keys = operators.get(by, name), operators.keys(by, name)
    if as_json:
        print_json({**_as_json(found), "keys": [_key_json(key) for key in keys]})
        return
    print_facts(
        {
            "operator": found.name,
            "role": found.role.value,
            "tenants": _reach(found),
            "enabled": found.enabled,
            "password": found.password_hash is not None,
            "created": found.created.isoformat(timespec="seconds"),
        }
    )
    for key in keys:
        say()
        print_facts({member.replace("-", " "): fact for member, fact in _key_json(key).items()})


@app.command()
def update(
    name: OperatorName,
    role: Annotated[
        str | None, typer.Option(metavar="ROLE", callback=_role, help="admin, editor (writes) or viewer (reads).")
    ] = None,
    tenants: Tenants = None,
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="It reaches every tenant.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Change what an operator may do, and where.

    In force at its next request.
    """
    from tenant.operator_administration import OperatorChange
    from tenant.operators import Role

    if tenants and all_tenants:
        raise typer.BadParameter("--tenant and --all-tenants exclude each other")
    if role is None and not tenants and not all_tenants:
        raise typer.BadParameter("name what is to change: --role, --tenant or --all-tenants")
    change = OperatorChange(
        role=None if role is None else Role(role),
        tenants=frozenset(tenants) if tenants else None,
        sets_tenants=bool(tenants) or all_tenants,
    )
    with _operators(config, data_dir) as (operators, by):
        changed = operators.change(by, name, change)
    _tell(changed, f"changed operator {name}", as_json)


@app.command()
def password(
    name: OperatorName,
    password_stdin: PasswordFromInput = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Set an operator's password.

    Asks for it on a terminal. Tokens made with the old one end.
    """
    from tenant.operator_administration import OperatorChange

    if password_stdin or as_json or not sys.stdin.isatty():
        chosen = _password_from_input()
    else:
        chosen = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    with _operators(config, data_dir) as (operators, by):
        changed = operators.change(by, name, OperatorChange(password=chosen, sets_password=True))
    _tell(changed, f"set the password of operator {name}", as_json)


@app.command()
def key(
    name: OperatorName,
    key_name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the key is called.")] = "unnamed",
    days: KeyDays = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Make an API key and print it, only this once."""
    with _operators(config, data_dir) as (operators, by):
        made, secret = operators.add_key(by, name, key_name=key_name, days=days)
    if as_json:
        print_json({**_key_json(made), "key": secret})
        return
    say(f"made {made.key_id} for operator {name}")
    _tell_key(secret)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME|KEY-ID", help="An operator, or the id of one API key.")],
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Revoke an API key, or everything an operator has.

    Of an operator: its keys are revoked, and it is switched off. In force at the next request, in every gateway.
    """
    from tenant.operators import is_key_id

    with _operators(config, data_dir) as (operators, by):
        if is_key_id(name):
            owner = operators.owner_of(by, name)
            operators.revoke_key(by, owner, name)
            said = f"revoked {name} of operator {owner}"
        else:
            count = operators.revoke(by, name)
            said = f"switched off operator {name} and revoked {count} API key{'' if count == 1 else 's'}"
    if as_json:
        print_json({"revoked": name})
    else:
        say(said)


@app.command()
def enable(name: OperatorName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Let an operator in again.

    Revoked keys stay revoked.
    """
    from tenant.operator_administration import OperatorChange

    with _operators(config, data_dir) as (operators, by):
        changed = operators.change(by, name, OperatorChange(enabled=True))
    _tell(changed, f"enabled operator {name}", as_json)


@app.command()
def delete(
    name: OperatorName, yes: Yes = False, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None
) -> None:
    """Delete an operator and its API keys."""
    with _operators(config, data_dir) as (operators, by):
        operators.get(by, name)
        require_yes(f"Delete operator {name}?", yes=yes, as_json=as_json)
        operators.delete(by, name)
    if as_json:
        print_json({"deleted": name})
    else:
        say(f"deleted operator {name}")


@contextmanager
def _operators(
    config: Path | None, data_dir: Path | None, *, make: bool = False
) -> Iterator[tuple[OperatorAdministration, Caller]]:
    """The administration, and who is at this machine."""
    from tenant.operator_administration import OperatorAdministration
    from tenant.operators import LocalCaller

    with desk(config, data_dir, make=make) as at:
        administration = OperatorAdministration(operators=at.store.operators, clock=at.clock)
        yield administration, LocalCaller(name=at.deed().actor)


def _password_from_input() -> str:
    return sys.stdin.readline(PASSWORD_LINE_MAX_CHARS).rstrip("\r\n")


def _tell(operator: Operator, says: str, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(operator))
    else:
        say(says)


def _tell_key(secret: str) -> None:
    say("its API key, shown this once:")
    say(f"    {secret}", style="bold")


def _tenants(operator: Operator) -> str:
    if operator.tenants is None:
        return "all tenants"
    return f"tenant{'s' if len(operator.tenants) > 1 else ''} {_reach(operator)}"


def _reach(operator: Operator) -> str:
    return "all" if operator.tenants is None else ", ".join(sorted(operator.tenants))


def _as_json(operator: Operator) -> dict[str, Any]:
    import msgspec

    from management.operator_shapes import operator_shown

    shown: dict[str, Any] = msgspec.to_builtins(operator_shown(operator))
    return shown


def _key_json(key: ApiKey) -> dict[str, Any]:
    import msgspec

    from management.operator_shapes import key_shown

    shown: dict[str, Any] = msgspec.to_builtins(key_shown(key))
    return shown
