"""Copier: asks a template's questions and renders its files."""

from __future__ import annotations

import io
import json
import re
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import jinja2
import yaml
from copier._main import Worker  # nothing public tells a template's questions before it is rendered
from copier._settings import SettingsModel
from copier.errors import ConfigFileError, CopierError, ForbiddenPathError, UnsafeTemplateError

from ostinato.errors import ParameterError, UsageError

# Copier's own file of settings may trust templates with commands, and answer questions: not here.
_NOBODYS = SettingsModel()


def asked(template: Path) -> dict[str, Any]:
    """The questions of a template by key, as its copier.yml has them."""
    # it says of a copier.yml that is none what the error says, too
    with redirect_stderr(io.StringIO()), Worker(src_path=str(template), quiet=True, settings=_NOBODYS) as worker:
        try:
            return dict(worker.template.questions_data)
        except (AttributeError, TypeError):
            raise CopierError("copier.yml holds no questions by key") from None


def copy(
    template: Path, out: Path, answers: Mapping[str, Any], *, ask: bool, unasked: Collection[str] = ()
) -> dict[str, Any]:
    """Render a template into a folder; gives all answers, those that were asked and defaults among them.

    It may not run commands, load extensions of Jinja, or write outside of the folder.
    """
    with Worker(str(template), out, data=dict(answers), defaults=not ask, quiet=True, settings=_NOBODYS) as worker:
        for key in unasked:
            worker.template.questions_data[key]["when"] = False
        wanted = {"jinja_extensions", "migrations", "tasks"} & {
            key for key, value in worker.template.config_data.items() if value
        }
        if wanted:  # before the next line loads them
            raise UnsafeTemplateError(sorted(wanted))
        worker.jinja_env.policies["json.dumps_function"] = _json
        worker.run_copy()
        return dict(worker.answers.combined)


def _json(value: Any, **options: Any) -> str:
    """JSON that YAML reads in the same way: an escape is a character there, not half of one. Letters stay letters."""
    text = json.dumps(value, **{**options, "ensure_ascii": False})
    return re.sub(r"[\x7f-\uffff]", lambda sign: sign[0] if sign[0].isprintable() else f"\\u{ord(sign[0]):04x}", text)


@contextmanager
def refusals(name: str, template: Path) -> Iterator[None]:
    """What Copier refuses, and how a template fails, in our words; `template` is the folder it is rendered from."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None  # Copier's own would count as its error
    except UnsafeTemplateError:
        raise UsageError(
            f"The template {name} wants to run commands or to load extensions. Templates are files here, nothing "
            "more: take _tasks, _migrations and _jinja_extensions out of its copier.yml."
        ) from None
    except ForbiddenPathError as error:
        outside = str(error).splitlines()[0]
        raise UsageError(f"The template {name} wants to read or write outside of its folder: {outside}") from None
    except _BROKEN as error:
        raise UsageError(f"The template {name} cannot be used: {_told(error, template)}") from None
    except ValueError as error:
        raise ParameterError(f"The template {name} cannot take an answer: {error}") from None


# What a template's expressions raise, and Copier where a copier.yml is not what it expects.
_BROKEN = (
    jinja2.TemplateError,
    yaml.YAMLError,
    CopierError,
    UnicodeDecodeError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    TypeError,
)


def _told(error: Exception, template: Path) -> str:
    """What happened, and where in the template."""
    cause = error.__cause__ if isinstance(error, ConfigFileError) and error.__cause__ else error
    text = " ".join(str(cause).replace(f"{template}/", "").split())
    if isinstance(error, jinja2.TemplateSyntaxError):
        places = [(error.filename or error.name or "", error.lineno)]
    else:
        places = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    inside = [(Path(file).relative_to(template), line) for file, line in places if Path(file).is_relative_to(template)]
    where = f"{inside[-1][0]}, line {inside[-1][1]}: " if inside else ""
    return f"{where}{type(cause).__name__}: {text}"
