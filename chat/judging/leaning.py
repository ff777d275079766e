"""Could a message mean something else after another conversation? Judged by rules, from its words alone.

A message stands alone only when it is shown to: it is a greeting, thanks or goodbye; or it holds a whole
question, wish or complaint and nothing in it points back. Everything else (answers, fragments, "and for
shoes?") leans on what came before, since a leaning message taken for a standing one gets an answer that was
made for another conversation, while the other mistake costs only money.
"""

import re

from cachemgmt.api import normalise_message

ANSWER = 4
"""A first sentence of so many words or fewer, without a verb, is an answer to a question of ours."""

_SMALLTALK = re.compile(
    r"(?:hi|hiya|hey|hello|greetings|howdy|yo|good (?:morning|afternoon|evening|day|night)|morning|there|"
    r"everyone|how are you(?: doing)?(?: today)?|nice to meet you|thanks?(?: you)?|thank u|thx|ty|cheers|ta|"
    r"(?:very|so) much|a (?:lot|bunch|million|ton)|many|again|for (?:all )?(?:the|your|ur) (?:\w+ )?(?:help|"
    r"assistance|time|support|info|information|service|patience)|for (?:helping|everything)(?: me)?|"
    r"(?:good ?)?bye+(?: bye)?|see (?:you|ya)(?: later| soon)?|take care|talk (?:to you )?later|farewell|"
    r"have (?:a|an) (?:\w+ )?(?:day|one|night|evening|weekend|week|time|morning|afternoon)|you too|"
    r"you as well|sir|madam|ma'am|friend|buddy|mate|pal|dear|team|robot|bot|ai|and|today|now|"
    r"much appreciated|(?:you(?:'re| are|'ve been)|that(?:'s| is| was)) (?:\w+ )?(?:helpful|kind|sweet)|"
    r"(?:a )?(?:great|wonderful|amazing|big) help|i appreciate (?:it|your help|the help))"
)
_ACKNOWLEDGED = re.compile(
    r"(?:ok(?:ay)?|k|great|perfect|awesome|excellent|amazing|wonderful|fantastic|terrific|brilliant|nice|"
    r"cool|good|lovely|super|alright|all right|fine|oh|wow|ah|well|um|uh|lol|haha+|please|pls|sorry|"
    r"excuse me|i see|got it|sounds good|that's great|that is great|no problem|no worries)"
)
_OPENING = re.compile(rf"^(?:(?:{_SMALLTALK.pattern}|{_ACKNOWLEDGED.pattern})(?![\w'])[ .,!?;:)(-]*)+")
_COURTEOUS = re.compile(
    r"\b(?:hi|hiya|hey+|hello|greetings|howdy|good ?(?:morning|afternoon|evening|day|night)|thanks?|thank|"
    r"thx|ty|cheers|ta|good ?bye+|bye+|see (?:you|ya)|take care|appreciat\w+)\b"
)

_CLOSES = re.compile(
    r"(?:no|nope|nah|nothing(?: else| more)?|none|that(?:'s| is| was|s|'ll be| will be| should be) (?:all|it|"
    r"everything)|i(?:'m| am|m) (?:good|fine|done|all set)|all (?:good|set|done)|no more questions?|(?:no|"
    r"nope)[ ,]+(?:thanks?|thank you|that(?:'s| is|s) (?:all|it)|nothing(?: else)?|i(?:'m| am) (?:good|"
    r"fine))(?:[ ,]+\w+){0,5})"
)
_CONTINUES = re.compile(
    r"^(?:and|but|or|so|then|also|plus|because|cause|since|instead|actually|yes|yeah|yea|yep|yup|ya|sure|no|"
    r"nope|nah|not|none|nothing|never ?mind|neither|either|correct|right|exactly|maybe|perhaps|what about|"
    r"how about|how come|what if not|why not|same|both|in that case|of course|absolutely|definitely|"
    r"any (?:other|more)|go (?:on|ahead)|continue|proceed|next|more|tell me more|let'?s|wait|hmm+|another|"
    r"other|only|just|at|around|on|in|for|with|without|from|to|by|after|before|until|the|a|an|my name|i'm|im|"
    r"it|it's|its|that|that's|thats|this|these|those|they|he|she|there)\b"
)
_JOINS = re.compile(r"(?:and|but|or|also|so)\b")
_BACK = re.compile(
    r"\b(?:it|its|it's|it'll|that|that's|thats|this|these|those|they|they're|them|their|theirs|he|he's|she|"
    r"she's|him|her|his|hers|there|ones?|then|instead|too|either|neither|both|else|another|others?|again|"
    r"same|such|anymore|more|less|as well|lower|higher|cheaper|earlier|later|sooner|bigger|smaller|better|"
    r"faster|closer|nearer|former|latter|above|previous(?:ly)?|mentioned|you said|said|so|yet|still|also|"
    r"different|step)\b"
)
_HARMLESS = re.compile(
    r"\b(?:is|are|was|were|will|be|isn't|aren't|can|there'?s?)? ?there (?:is|are|was|were|be|a|an|any|some|"
    r"no)\b|\b(?:is|are|was|were|if) there\b|\bthere(?:'s| is| are)\b|\b(?:is|isn't|was|would|will|be|if|"
    r"makes?|find) it (?:be )?(?:\w+ )?(?:possible|ok|okay|free|safe|allowed|legal|necessary|normal|true|"
    r"worth|too late|easy|hard|bad|better|mandatory|required)(?= (?:to|if|that|for|when)\b)|\bit(?:'s|"
    r" is) (?:possible|ok|too late)\b|\b(?:does|will|would|did|has) it (?:take|cost|taken) (?=\w+ing\b|to\b|"
    r"for (?:a|my|the|an)\b)|\bit (?:takes?|costs?) (?:\w+ )?(?:to|for (?:a|an|my|the))\b|\b(?:so|"
    r"too) (?:that|much|many|often|long|far|late|high|low|slow|expensive)\b|\b(?:say|says|said|shows?|see|"
    r"saw|know|sure|think|noticed?|ensure|told me|find|found|thing|things|money|card|cards|item|items|order|"
    r"orders|something|anything|everything|one|all|countries|way|the \w+|an? \w+|my \w+|(?!does|was|has|"
    r"this)\w{3,}s) that\b(?! one)|\bthat (?=(?:i|you|we|my|the|was|were|is|are|has|have)\b)|"
    r"\bthis (?:morning|week|month|year|evening|weekend|service|app|company|site|website|shop|store|chat)\b|"
    r"\bone (?:of|go|day|week|month|year|\w+ (?:code|order|card|account|time|payment|person))\b|"
    r"\bmore than\b|\bless than\b|\bno longer\b|\bother (?:than|countries|currencies|people)\b|"
    r"\bsomeone else|\bsomewhere else|(?<!try )(?<!find )(?<!is there )(?<!pick )(?<!maybe )\b(?:another|"
    r"a different) (?=size|colou?r|card|country|address|person|item|product|account|currency|bank|shop|store|"
    r"website|code|order|device|phone|carrier|method|name|number|company|voucher|payment|way)|\b(?:more|"
    r"less) (?!info|detail|instruct|option|direct|question|specific|time)(?=\w{3,})|\ban? (?:\w+er|"
    r"different) (?=\w+)|\binstead of\b|\beach other\b|\bstill (?=\w+)|\byet\b|\b\w+er than\b|\bso (?:that|i|"
    r"how|my)\b|\b(?:any|no|some) more information\b|\bone\b(?= \w{4,})|\bsame day\b"
)
"""What looks as if it pointed back and does not: fillers ("there is", "is it possible"), conjunctions."""

_MENTION = re.compile(
    r"\b(?:a|an|my|our|your|some|any|the|which|what|no|\d+|someone|something|for|of|about|with|from|on|"
    r"in)(?: \w+)? (?!it\b|that\b|this\b|them\b|there\b|those\b|one\b|more\b|else\b)[^\W\d_]{3,}|"
    r"\b[^\W\d_]{4,}s\b|\b(?:i|we) (?:bought|ordered|got|received|returned|sent|saw|made|paid|used)\b"
)
"""Something named, that a later "it" in the same message can mean."""

_POINTS_AT_KNOWN = re.compile(
    r"\binstead\b(?! of)|\bthen$|\bhappens then\b|^can (?:i|we) still \w+$|\b(?:check|change|try|book|cancel|"
    r"reserve|pick|choose|show|move|confirm|schedule|set|make|see|view|repeat|prefer) (?:me )?(?:the|that|it|"
    r"this|those)\b|\bthe (?:first|second|third|last|next|other|new|latter) (?:one|step|option|question)\b|"
    r"^(?:how much|how long|how many|when|where|why|who|which(?: one)?|what time|what day|what else|"
    r"what next|how so|how far|really|is that all|anything else)$|\bwhat (?:next|now|else)\b|\b(?:the|that|"
    r"this|my) (?:hotels?|restaurants?|apartments?|flights?|ride|venues?|questions?|steps?|instructions?|"
    r"directions?|viewing|reservation|guests?|game|party|showing|report|meeting|appointment|table|room|"
    r"booking|movie|show|test)\b|\b(?:what about|how about|(?:first|last|next) (?:step|direction|question|"
    r"instruction)s?|which one|try (?!to\b|and\b|if\b)\w+|make sure|keep \w+ing|any ?time|any appointments?|"
    r"something else|changed my mind|(?<!if )(?<!that )(?<!card )i (?:do not|don't|dont)(?: really|"
    r" even)? (?:want|need|like|require|care|think|mind)|(?:more|further|any other) (?:detail|instruct|"
    r"direction|option|specific|question)\w*|more info(?:rmation)?(?!.* (?:about|on|regarding)))\b"
)
_ASKS = re.compile(
    r"(?:^|[.,!?;] ?|\b(?:know|wondering|ask|asking|tell me|explain|and|but|so|then|if|after|when|"
    r"understand) )(?:what|what's|whats|how|how's|hows|when|when's|where|where's|wheres|why|who|who's|whose|"
    r"which|can|could|do (?!not)|does|did|is|are|was|were|will|would|should|may (?!\d)|must|am|has|"
    r"have (?=you|i|we|they|my)|isn't|aren't|can't|couldn't|don't (?=you|i|we|they)|doesn't|didn't|won't|"
    r"wouldn't|shouldn't|hasn't|haven't|if|whether|up to when|by what|for how|in which|to which|from what)\b"
)
_WISHES = re.compile(
    r"\b(?:want|wanted|need|needed|would like|'d like|d like|like|love|trying|try|looking|hoping|wish|plan|"
    r"planning) (?:to|for|a|an|some|my|your|help|information|info|advice|you to|new)\b|^(?:please )?(?:tell|"
    r"show|explain|give|send|help|find|book|cancel|change|delete|close|update|unlock|block|freeze|activate|"
    r"order|list|describe|stop|remove|track|make|plan|get|transfer|refund|replace|reset|connect)\b|\b(?:tell|"
    r"show|explain|give|help|teach) me\b|\bplease (?:tell|show|explain|help|send|cancel|block|freeze)\b"
)
_COMPLAINS = re.compile(
    r"\b(?:lost|stolen|stole|broken|broke|damaged|smashed|missing|declined|charged|wrong|faulty|failed|"
    r"failing|blocked|locked|pending|rejected|disappeared|expired|incorrect|duplicate|twice|delayed|hacked|"
    r"compromised|(?:not|n't|never|isn't|hasn't|haven't|doesn't|didn't|won't|can't) (?:\w+ )?(?:work\w*|"
    r"arriv\w+|receiv\w+|recogni[sz]e\w*|appear\w*|show\w*|update\w*|get\w*|go\w*|accept\w*|come|show|been|"
    r"find|see|use|make|log|access)|no longer works?|stopped working|problem|issue|error|trouble|complaint|"
    r"fraud\w*)\b"
)
_OWN = re.compile(r"\b(?:my|i|i've|i'm|i'd|we|our|an?|someone|somebody)\b")
_INDEFINITE = re.compile(r"\b(?:an?|some|my|your|our|any|you|information|info|help|new|about)\b")
_SAYS_LITTLE = """
    exception exceptions condition conditions restriction restrictions limit limits alternative alternatives
    requirement requirements document documents needed required reason difference else happens apply applies
    free cheaper possible allowed option then there
    a about again all also am an and any anything are as at available be been by can cost costs could
    date day did do does doing done else fare fee for from get gets give go going good has have having
    help hour hours how i if in into is just know let like long look make many may me much must my name
    need no not now number of ok on option options or our out please price rating really right say see
    should so some something sort still take takes tell than that's thats the thing things time to try
    up us use very want was way we were what what's whats when where which who why will with work works
    would yes you you're your i'm i'd i've can't don't doesn't isn't mean means address details answer
    next first last more monday tuesday wednesday thursday friday saturday sunday today tomorrow tonight
    morning afternoon evening noon january february march april june july august september october
    november december pm o'clock next week one two three four five six seven eight nine ten eleven
    twelve come later earlier sooner i'll it's
"""
_EMPTY_WORDS = frozenset(_SAYS_LITTLE.split())
"""Words that do not say what a question is about."""
_CLAUSE_END = re.compile(r"[.!?;,:]+\s|\b(?:if|when|after|before|once|because|while|and|but|until)\b")
_SUBJECT_PRONOUN = re.compile(
    r"\b(?:is|are|was|were|do|does|did|will|would|can|could|should|has|have|isn't|doesn't) (?:it|they|he|she|"
    r"that|those|these)\b"
)
_ENDS_WITH_PRONOUN = re.compile(
    r"\b(?:for|with|about|of|on|to|in|from|by) (?:it|them|that|this|those|these)$"
)
_SENTENCE_END = re.compile(r"[.!?;,]+\s+")
_VERB = re.compile(
    r"\b(?:i|i'm|i've|we|my|is|are|was|were|am|have|has|please|help|need|want|\w+ed|someone|somebody)\b"
)
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


def leans_on_context(message: str) -> bool:
    """Return whether the message could mean something else after another conversation; unsure means True.

    Pure; judges the normalised message, so that all messages with one key are judged alike.
    """
    said = normalise_message(message).replace("’", "'")
    opening = _OPENING.match(said)
    rest = said[opening.end() :] if opening else said
    if not _WORD.search(rest):
        return not _COURTEOUS.search(said)
    if _JOINS.match(said) or (_CONTINUES.match(rest) and not _asks_wholly_later(rest)):
        return True
    points_back = _POINTS_AT_KNOWN.search(rest) or _asks_of_it(rest) or _dangles(rest)
    if points_back or _starts_with_an_answer(rest):
        return True
    return not _is_whole(rest)


def is_courtesy(message: str) -> bool:
    """Return whether the message is nothing but a greeting, thanks, goodbye, or a word that ends a matter."""
    said = normalise_message(message).replace("’", "'")
    opening = _OPENING.match(said)
    rest = said[opening.end() :] if opening else said
    return not _WORD.search(rest) or _CLOSES.fullmatch(rest.strip(" .,!?;:")) is not None


def _asks_wholly_later(rest: str) -> bool:
    """Return whether a text with a small word in front ("in germany, how long ...") goes on long enough."""
    if re.match(
        r"(?:for|on|in|with|without|from|to|by|after|before|until|at|the|a|an|i'm|im|my|it|this|these)\b",
        rest,
    ):
        return len(rest.split()) >= 6
    return False


def _asks_of_it(rest: str) -> bool:
    """Return whether the first clause asks about an "it" itself ("what food does it serve")."""
    clause = _CLAUSE_END.split(rest, maxsplit=1)[0]
    if clause == rest and _ENDS_WITH_PRONOUN.search(rest):
        return True
    found = _SUBJECT_PRONOUN.search(clause)
    return found is not None and not _HARMLESS.search(clause, max(0, found.start() - 1))


def _dangles(rest: str) -> bool:
    """Return whether a word points back and nothing was named before it that it could mean."""
    harmless = [found.span() for found in _HARMLESS.finditer(rest)]
    for found in _BACK.finditer(rest):
        if any(start <= found.start() < end for start, end in harmless):
            continue
        if not _MENTION.search(rest[: found.start()]):
            return True
    return False


def _starts_with_an_answer(rest: str) -> bool:
    """Return whether the first of several sentences is a mere name, number or place, as answers are."""
    first, *others = _SENTENCE_END.split(rest)
    return (
        bool(others)
        and len(_WORD.findall(first)) <= ANSWER
        and not _ASKS.search(first)
        and not _VERB.search(first)
    )


def _is_whole(rest: str) -> bool:
    """Return whether the text holds a question, wish or complaint that says what it is about."""
    words = _WORD.findall(rest)
    telling = [word for word in words if word not in _EMPTY_WORDS and not word[0].isdigit()]
    if len(words) < 3 or not telling:
        return False
    if _ASKS.search(rest):
        return True
    wish = _WISHES.search(rest)
    if wish:
        return _INDEFINITE.search(rest, wish.start()) is not None
    return len(words) >= 4 and _COMPLAINS.search(rest) is not None and _OWN.search(rest) is not None
