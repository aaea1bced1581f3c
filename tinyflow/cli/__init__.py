"""The command line: parses, calls a stage, shows what came back. Nothing is computed here.

With --json stdout is one JSON document (on error {"error", "hint"}); progress and messages go to stderr.
"""

import json
import os
import sys
import traceback

import click

from tinyflow.cli import deploy, device, folders, learn, start
from tinyflow.errors import Interrupted, TinyflowError
from tinyflow.extras import missing
from tinyflow.results import to_json
from tinyflow.version import __version__


class Group(click.Group):
    """Lists the commands in the order of the pipeline, and suggests the nearest name."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands, in the order of the pipeline"):
            formatter.write_dl(
                [(name, (command.help or "").splitlines()[0]) for name, command in self.commands.items()]
            )

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, context, args):
        try:
            return super().resolve_command(context, args)
        except click.UsageError:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.commands, 1)
            raise TinyflowError(
                f"no command {args[0]!r}",
                f"did you mean `tinyflow {near[0]}`?" if near else "`tinyflow --help` lists them",
            ) from None


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def commands() -> None:
    """From labelled audio to keyword-spotting firmware for a microcontroller.

    New here?  tinyflow demo   runs everything once, on synthetic speech and an emulated board.
    """


for _command in (
    start.demo,
    start.init,
    start.doctor,
    start.boards,
    learn.data,
    learn.search,
    learn.sweep,
    learn.train,
    learn.evaluate,
    deploy.compile_command,
    deploy.build,
    device.run_command,
    device.validate,
    device.profile,
    device.check,
    device.listen,
    deploy.flash,
    deploy.export,
    folders.runs_command,
    folders.clean,
):
    commands.add_command(_command)


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments

    def fail(error: str, hint: str, status: int, result: object = None) -> None:
        if "--json" in arguments:
            found = {} if result is None else to_json(result)
            print(json.dumps({"error": error, "hint": hint, **found}))
        else:
            click.secho(f"error: {error}", fg="red", err=True)
            if hint:
                click.echo(f" hint: {hint}", err=True)
        sys.exit(status)

    try:
        commands.main(arguments, prog_name="tinyflow", standalone_mode=False)
    except TinyflowError as error:
        fail(error.message, error.hint, 130 if isinstance(error, Interrupted) else 1, getattr(error, "result", None))
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        fail(error.format_message(), f"`{context.command_path} --help` lists the options" if context else "", 2)
    except (KeyboardInterrupt, click.Abort):
        fail(
            "interrupted",
            "run the same command again: finished stages are kept, training resumes from its checkpoint",
            130,
        )
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tinyflow"):
            raise
        absent = missing(error.name or "?")
        fail(absent.message, absent.hint, 1)
    except BrokenPipeError:  # `tinyflow boards | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            fail(
                f"{error.filename}: {error.strerror}",
                "check the path, its permissions and the free space of its disk",
                1,
            )
        if "--json" not in arguments:
            raise
        traceback.print_exc()
        fail(f"{type(error).__name__}: {error}", "this is a bug in tinyflow: report it with the traceback on stderr", 1)
