"""Language codes: short BCP 47 inside, MTEB's `deu-Latn` and other spellings at the edges."""

from __future__ import annotations

from functools import cache

from mimo_eval.errors import ConfigError, DataError

# spellings found in data sets that are not BCP 47: mMARCO calls Dutch `dt`
ALIASES = {"dt": "nl", "jp": "ja", "cn": "zh", "zh-cn": "zh", "zh-hans": "zh", "arabic": "ar", "english": "en"}
# macrolanguages whose member is what is nearly always meant
MACRO = {
    "cmn": "zh",
    "arb": "ar",
    "swh": "sw",
    "pes": "fa",
    "zsm": "ms",
    "ekk": "et",
    "lvs": "lv",
    "npi": "ne",
    "ory": "or",
}

# scripts of varieties of Arabic and Pashto that langcodes takes for Latin
SCRIPTS = dict.fromkeys(("acm", "acq", "ajp", "pbt"), "Arab")


@cache
def normalise(code: str) -> str:
    """Return the short BCP 47 form of a language code.

    `deu`, `deu_Latn`, `de-DE` and `DE` are all `de`; a script stays only where it is not the usual one (`sr-Latn`);
    of a region only its script is kept (`zh-TW` is `zh-Hant`, `zh-SG` is `zh`). Members of a macrolanguage stay apart
    (`acm` is not `ar`) unless they are its standard form.

    :param code: a code in any common spelling.
    :return: the canonical short code.
    :raises DataError: if no language has that code.
    """
    import langcodes

    text = ALIASES.get(code.strip().lower(), code.strip())
    try:
        language = langcodes.Language.get(text.replace("_", "-"), normalize=True)
    except langcodes.LanguageTagError as error:
        raise DataError(f"'{code}' is not a language code; use BCP 47 such as 'de', 'zh' or 'sr-Latn'") from error
    base = language.language
    if not base or base == "und" or not language.is_valid():
        raise DataError(f"'{code}' is not a known language; use BCP 47 such as 'de', 'zh' or 'sr-Latn'")
    base = MACRO.get(base, base)
    usual = langcodes.Language.get(base).maximize().script
    written = langcodes.Language.make(base, script=language.script, territory=language.territory).maximize().script
    return base if not written or written == usual else f"{base}-{written}"


@cache
def mteb_code(code: str) -> str:
    """Return MTEB's form, ISO 639-3 and script: `de` becomes `deu-Latn`.

    :param code: a language code in any common spelling.
    :return: the MTEB code.
    """
    import langcodes

    language = langcodes.Language.get(normalise(code))
    return f"{language.to_alpha3()}-{language.script or SCRIPTS.get(language.language) or language.maximize().script}"


def parse_languages(text: str | None) -> tuple[str, ...] | None:
    """Read a comma-separated list of codes as typed by a user.

    :param text: such as `en,de,zh`, or None.
    :return: canonical codes in the order given, without repeats, or None.
    :raises ConfigError: if one is no code: of a name that was typed, not of data.
    """
    if not text:
        return None
    try:
        return tuple(dict.fromkeys(normalise(code) for code in text.replace(" ", ",").split(",") if code)) or None
    except DataError as error:
        raise ConfigError(str(error)) from error
