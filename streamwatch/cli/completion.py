"""`streamwatch completion`: what a shell needs to complete our commands."""

from __future__ import annotations

from typing import Final, Literal

from streamwatch.cli.app import app
from streamwatch.errors import Exit

# In a folder of $fpath the file is the function's own body; by `source` it only registers it.
ZSH_END: Final = """

if [ "$funcstack[1]" = "_streamwatch" ]; then
  _streamwatch "$@"
else
  compdef _streamwatch streamwatch
fi
"""


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Prints the script that lets a shell complete commands and options.

    bash: `streamwatch completion bash > ~/.local/share/bash-completion/completions/streamwatch`.
    zsh: `streamwatch completion zsh > DIR/_streamwatch`, DIR being a folder of `$fpath`.
    fish: `streamwatch completion fish > ~/.config/fish/completions/streamwatch.fish`.

    Parameters
    ----------
    shell
        Whose language the script is in.
    """
    script = app.generate_completion(prog_name="streamwatch", shell=shell)
    if shell == "zsh":
        script = script.replace("_cyclopts_streamwatch", "_streamwatch").rstrip() + ZSH_END
    print(script)
    return Exit.OK
