"""What the fake endpoint says: which stage a request belongs to, and the words of its answer."""

import json
from collections.abc import Mapping
from typing import Any

from tests.fakes import llm_mind
from tests.fakes.llm_obeying import ordered_by
from tests.fakes.llm_script import Dressed, Fenced, Obey, Say, data_of


def stage_of(request: Mapping[str, Any]) -> str:
    """Return the stage a request belongs to, told by what it sends."""
    if "input" in request:
        return "embed"
    data = data_of(request)
    if "message" in data:
        return "classify"
    return "generate" if "objections" in data else "validate"


def said(action: Say | Fenced | Obey | Dressed | None, stage: str, request: Mapping[str, Any]) -> Say:
    """Return the words of the answer: those given, or what follows from the request."""
    if isinstance(action, Say):
        return action
    system, data = request["messages"][0]["content"], data_of(request)
    ordered = ordered_by(action, stage, data) if isinstance(action, Obey) else None
    if ordered is not None:
        return Say(json.dumps(ordered, ensure_ascii=False))
    if stage == "classify":
        verdict = llm_mind.classify(system, data)
    else:
        verdict = llm_mind.generate(data) if stage == "generate" else llm_mind.validate(data)
    content = json.dumps(verdict, ensure_ascii=False)
    return Say(f"Here it is:\n```json\n{content}\n```" if isinstance(action, Fenced) else content)
