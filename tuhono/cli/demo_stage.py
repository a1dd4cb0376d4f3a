"""How the story looks on a terminal of 80 columns: headings, steps that went well or did not, and commands."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.panel import Panel
from rich.text import Text

from conf.sections import DATA_DIR_DEFAULT
from tuhono.cli.output import shown, terminal

WIDTH = 78


class Stage:
    """Prints, and counts what went wrong. Texts are shown as they are, whatever they hold."""

    def __init__(self) -> None:
        self._out = terminal()
        self._headings = 0
        self.failed = 0

    def title(self, text: str) -> None:
        self._out.print(Panel.fit(Text(text, style="bold")))

    def heading(self, text: str) -> None:
        self._headings += 1
        self._out.print(Text(f"\n{self._headings}. {text}", style="bold cyan"))

    def say(self, text: str, *, style: str = "") -> None:
        self._out.print(Text(f"   {text}", style=style))

    def fact(self, name: str, fact: object) -> None:
        self.say(f"     {name:<8} {shown(fact)}", style="dim")

    def expect(self, went_well: bool, well: str, badly: str) -> None:
        """A step: what to say if it went well, and if not."""
        if went_well:
            self._out.print(Text.assemble("   ", ("✓", "green"), f" {shown(well)}"))
            return
        self.failed += 1
        lines = badly.splitlines() or ["no answer"]
        self._out.print(
            Text("\n".join(["   ✗ " + shown(lines[0]), *(f"     {shown(line)}" for line in lines[1:])]), "red")
        )

    def command(self, words: Sequence[object], *, above: str = "") -> None:
        """One to copy: broken into lines where a shell allows it."""
        if above:
            self.say(f"# {above}", style="dim")
        for line in command_lines(words, width=WIDTH - 3):
            self.say(line)

    def verdict(self) -> None:
        well = self.failed == 0
        text = "every step went as it should" if well else f"{self.failed} of the steps failed"
        self._out.print(Text(f"\n{text}", style="bold green" if well else "bold red"))


def command_lines(words: Sequence[object], *, width: int) -> Iterator[str]:
    """The command, quoted for a shell, in lines that end in a backslash but for the last."""
    line = ""
    for piece in _pieces([shlex.quote(str(word)) for word in words]):
        if not line:
            line = piece
        elif len(line) + 1 + len(piece) + 2 <= width:
            line += f" {piece}"
        else:
            yield f"{line} \\"
            line = f"    {piece}"
    yield line


def _pieces(words: Sequence[str]) -> Iterator[str]:
    """An option stays with its value."""
    option = ""
    for word in words:
        if option and not word.startswith("-"):
            yield f"{option} {word}"
            option = ""
            continue
        if option:
            yield option
        option = word if word.startswith("-") else ""
        if not option:
            yield word
    if option:
        yield option


def program() -> str:
    """How to call this program from here, on the PATH or not."""
    beside = Path(sys.executable).with_name("tuhono")
    found = shutil.which("tuhono")
    if found is not None and Path(found).resolve() == beside.resolve():
        return "tuhono"
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)


def where(data_dir: Path) -> list[str]:
    """Words that name the data directory, none where it is the usual one."""
    return [] if data_dir == DATA_DIR_DEFAULT else ["-d", str(data_dir)]
