"""Which secret goes to which address, and that no message tells one."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos_steps.credentials import Credentials, Secret
from chaos_steps.errors import UsageError

TOKEN = "t0p-s3cret"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """credentials.yaml, named by CHAOS_CREDENTIALS through its folder."""
    monkeypatch.setenv("CHAOS_CREDENTIALS", str(tmp_path))
    return tmp_path / "credentials.yaml"


def token_for(url: str) -> str | None:
    secret = Credentials.load().for_url(url)
    return secret.token if secret else None


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("https://waf.example/api", "api"),
        ("https://waf.example/api/", "api"),
        ("https://waf.example/api/rules/1?x=y#z", "api"),
        ("https://WAF.Example:443/api", "api"),
        ("https://waf.example/api/v2/rules", "v2"),
        ("https://waf.example", "root"),
        ("https://waf.example/apiary", "root"),
        ("https://waf.example/API", "root"),
        ("http://waf.example/api", None),
        ("https://waf.example:8443/api", None),
        ("https://waf.example.evil.example/api", None),
        ("https://evil.example/https://waf.example/api", None),
        ("https://waf.example@evil.example/api", None),
        ("https://evil.example@waf.example/api", None),
        ("https://waf.example/api/../admin", None),
        ("https://waf.example/api/%2e%2e/admin", None),
        ("https://waf.example/api\\..\\admin", None),
        ("//waf.example/api", None),
        ("waf.example", None),
        ("https://waf.example:port/", None),
        ("", None),
    ],
)
def test_the_longest_prefix_by_whole_segments_wins(file: Path, url: str, token: str | None) -> None:
    file.write_text(
        "- {url: 'https://waf.example', token: root}\n"
        "- {url: 'https://waf.example/api', token: api}\n"
        "- {url: 'https://waf.example/api/v2', token: v2}\n"
    )
    assert token_for(url) == token


def test_a_unix_socket_has_its_own_secret(file: Path) -> None:
    file.write_text("- {url: 'unix:///run/consul.sock', token: socket}\n")
    assert token_for("unix:///run/consul.sock") == "socket"
    assert token_for("unix:///run/other.sock") is None


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_there_are_no_secrets(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("CHAOS_CREDENTIALS", raising=False)
    if value is not None:
        monkeypatch.setenv("CHAOS_CREDENTIALS", value)
    assert token_for("https://waf.example") is None


def test_the_variable_may_name_the_file_itself(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("[{url: 'http://a', token: t}]")
    monkeypatch.setenv("CHAOS_CREDENTIALS", str(own))
    assert token_for("http://a") == "t"


def test_values_are_taken_as_they_are_written(file: Path) -> None:
    file.write_text(
        "- {url: 'http://a', token: 0123}\n- {url: 'http://b', token: 1e3}\n- {url: 'http://c', token: yes}\n"
    )
    assert [token_for(f"http://{host}") for host in "abc"] == ["0123", "1e3", "yes"]


def test_tls_files_are_looked_for_beside_the_file(file: Path, tmp_path: Path) -> None:
    file.write_text("- {url: 'https://a', caFile: ca.crt, certFile: tls.crt, keyFile: /etc/tls.key}\n")
    secret = Credentials.load().for_url("https://a")
    assert secret is not None
    assert (secret.ca_file, secret.cert_file) == (tmp_path / "ca.crt", tmp_path / "tls.crt")
    assert secret.key_file == Path("/etc/tls.key")


def test_what_the_operator_gave_with_an_address_comes_before_the_file(file: Path) -> None:
    file.write_text("- {url: 'http://a', token: file}\n- {url: 'http://a/deep', token: deep}\n")
    credentials = Credentials.load()
    credentials.bind("http://a", "given")
    assert (found := credentials.for_url("http://a/x"))
    assert found.token == "given"
    assert (found := credentials.for_url("http://a/deep"))
    assert found.token == "deep"


def test_binding_nothing_hides_nothing(file: Path) -> None:
    file.write_text("- {url: 'http://a', token: file}\n")
    credentials = Credentials.load()
    credentials.bind("http://a", "")
    assert (found := credentials.for_url("http://a"))
    assert found.token == "file"


@pytest.mark.parametrize(
    ("variable", "given", "token_goes_to"),
    [
        ("http://own", "http://other", "http://own"),
        ("", "http://other", "http://other"),
        ("http://own", None, "http://own"),
    ],
)
def test_the_token_of_a_variable_goes_to_the_address_of_its_own_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, given: str | None, token_goes_to: str
) -> None:
    monkeypatch.setenv("THE_URL", variable)
    monkeypatch.setenv("THE_TOKEN", TOKEN)
    credentials = Credentials()
    credentials.bind_variables("THE_URL", "THE_TOKEN", given)
    found = {url for url in ("http://own", "http://other") if credentials.for_url(url)}
    assert found == {token_goes_to}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"- url: http://a\n  tokn: {TOKEN}\n", "line 2: unknown field; did you mean token?"),
        (f"- url: http://a\n  {TOKEN}: x\n", "line 2: unknown field; known: url, token"),
        (f"- token: {TOKEN}\n", "line 1: url is missing"),
        (f"- url: {TOKEN}\n  token: x\n", "line 1: url of a secret is not"),
        (f"- url: http://me:{TOKEN}@a\n", "line 1: url of a secret is not"),
        (f"- url: http://a/../b\n  token: {TOKEN}\n", "line 1: url of a secret is not"),
        (f"- url: http://a\n  token: {TOKEN}\n  token: {TOKEN}\n", "line 3: token is given twice"),
        (f"- url: http://a\n  token: [{TOKEN}]\n", "line 2: token is not text"),
        (f"- url: http://a\n  token: x\n  header: X\n  value: {TOKEN}\n", "mixes token, header and username"),
        (f"- url: http://a\n  value: {TOKEN}\n", "only one of header and value"),
        (f"- url: http://a\n  password: {TOKEN}\n", "a password and no username"),
        ("- url: http://a\n  keyFile: k\n", "a keyFile and no certFile"),
        (f'- url: http://a\n  token: "{TOKEN}\\n"\n', "token of the secret for http://a holds characters"),
        (f"- url: http://a\n  token: {TOKEN}é\n", "token of the secret for http://a holds characters"),
        (f"- url: http://a\n  token: x\n- url: http://A:80/\n  token: {TOKEN}\n", "two entries for http://"),
        (f"- {TOKEN}\n", "line 1: an entry is not a mapping"),
        (f"url: http://a\ntoken: {TOKEN}\n", "is not a list"),
        (f"- url: http://a\n  token: '{TOKEN}\n", "is not valid YAML"),
        (f"- url: http://a\n  token: *{TOKEN}\n", "line 2 is not valid YAML"),
        (f"- url: http://a\n  token: {TOKEN}\n  - x\n", "is not valid YAML"),
    ],
)
def test_a_mistake_is_named_by_line_and_field_and_no_value_is_told(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        Credentials.load()
    assert message in str(raised.value)
    assert str(file) in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_a_file_that_is_not_there_is_a_usage_error(file: Path) -> None:
    with pytest.raises(UsageError, match=r"credentials\.yaml: No such file"):
        Credentials.load()


def test_a_file_that_is_not_text_is_a_usage_error(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        Credentials.load()


def test_an_empty_file_holds_no_secrets(file: Path) -> None:
    file.write_text("# none yet\n")
    assert token_for("http://a") is None


def test_no_representation_holds_a_secret() -> None:
    credentials = Credentials()
    credentials.bind("http://a", TOKEN)
    secret = Secret("http://b", username="me", password=TOKEN)
    assert TOKEN not in f"{credentials!r} {credentials} {secret!r} {secret} {credentials.for_url('http://a')!r}"
