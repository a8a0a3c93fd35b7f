#!/usr/bin/env python3
"""Reviewers sign in to a real Holdpoint, with an independent OpenID provider (npm oidc-provider), and with one that
misbehaves in every way that a token or an answer can (tokens by PyJWT).

    target/oidc/venv/bin/python tests/oidc/run.py target/debug/holdpoint [case...]
"""

import json
import os
import re
import stat
import sys
import time
import urllib.parse

import jwt

from parts import BadProvider, Browser, DEADLINE, Failed, GoodProvider, Holdpoint, Process, contains, expect, request

ANA = {"email": "ana@example.com", "email_verified": True, "groups": ["idp-owners", "idp-else"]}
BO = {"email": "bo@example.com", "email_verified": True, "groups": ["idp-owners"]}
CY = {"email": "cy@example.com", "email_verified": True, "groups": []}
PEOPLE = {"ana": ANA, "bo": BO, "cy": CY}


def callback(holdpoint):
    return lambda url: url.startswith(holdpoint.url + "/signin/oidc/callback")


def goes_wrong(holdpoint, provider, words, status=403, **how):
    """Signs in with the provider that behaves so, and is turned away with these words."""
    provider.behave(**how)
    browser = Browser()
    answer = browser.get(holdpoint.url + "/signin/oidc")
    expect(f"status ({answer.words[-300:]})", answer.status, status)
    contains("page", answer.words, words)
    expect("who", browser.is_signed_in(holdpoint), None)


def goes_right(holdpoint, provider, **how):
    provider.behave(**how)
    browser = Browser()
    answer = browser.get(holdpoint.url + "/signin/oidc")
    expect(f"status ({answer.words[-300:]})", answer.status, 200)
    expect("who", browser.is_signed_in(holdpoint), "ana@example.com")
    return browser


# With oidc-provider.


def signs_in_and_approves(holdpoint, provider):
    browser = Browser()
    page = browser.sign_in(holdpoint, "ana", to="/history")
    expect("page", (page.status, page.url), (200, holdpoint.url + "/history"))
    expect("who", browser.is_signed_in(holdpoint), "ana@example.com")
    groups = browser.send("GET", holdpoint.url + "/v1/me").json()["groups"]
    expect("groups", sorted(groups), ["data-owners", "others"])
    approval = holdpoint.call("/held/by-browser")
    page = browser.get(f"{holdpoint.url}/a/{approval['id']}")
    contains("page", page.words, "Approve")
    holdpoint.decide(approval, holdpoint.token, "deny")


def a_person_without_the_group_cannot_review(holdpoint, provider):
    browser = Browser()
    browser.sign_in(holdpoint, "cy")
    expect("who", browser.is_signed_in(holdpoint), "cy@example.com")
    expect("groups", browser.send("GET", holdpoint.url + "/v1/me").json()["groups"], [])
    token = device(holdpoint, "cy")
    approval = holdpoint.call("/held/cy")
    answer = holdpoint.decide(approval, token)
    expect("answer", (answer.status, answer.json()["code"]), (403, "not-reviewer"))
    holdpoint.decide(approval, holdpoint.token, "deny")


def device(holdpoint, login, config=None):
    """Signs in from the command line; answers with the token that it keeps."""
    config = config or f"config-{login}"
    command = [holdpoint.program, "login", "--server", holdpoint.url]
    environment = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": holdpoint.path(config)}
    program = Process(command, env=environment)
    url = program.logged(lambda line: line.startswith("Open ") and line.split()[-1])
    code = program.logged(lambda line: line.startswith("and type in") and line.split()[-1])
    browser = Browser()
    page = browser.submit(browser.get(url), user_code=code)
    # Confirm, say who, agree.
    for _ in range(6):
        if "Sign-in Success" in page.words:
            break
        page = browser.submit(page, login=login, password="any") if "/interaction/" in page.url else browser.submit(page)
    contains("the provider's page", page.words, "Sign-in Success")
    program.logged(lambda line: line.startswith("Signed in as "))
    expect("exit", program.process.wait(DEADLINE), 0)
    with open(holdpoint.path(config + "/holdpoint/sessions.json"), encoding="utf-8") as file:
        return json.load(file)[holdpoint.url]["token"]


def signs_in_from_the_command_line(holdpoint, provider):
    token = device(holdpoint, "bo", "config")
    file = holdpoint.path("config/holdpoint/sessions.json")
    expect("mode", stat.S_IMODE(os.stat(file).st_mode), 0o600)
    run = holdpoint.cli("whoami")
    expect("whoami", (run.returncode, run.stdout.splitlines()[:2]), (0, ["bo@example.com", "groups: data-owners"]))
    approval = holdpoint.call("/held/by-cli")
    run = holdpoint.cli("approvals", "list", "-o", "name")
    contains("list", run.stdout, approval["id"])
    run = holdpoint.cli("approvals", "approve", approval["id"], "--digest", approval["digest"].removeprefix("sha256:")[:8])
    expect(f"approve ({run.stderr})", run.returncode, 0)
    # The provider's own tokens open nothing here, nor does half of ours.
    for bad in [token[:-1], token.replace("hp_ses_", "hp_pat_"), "hp_ses_", jwt.encode({"sub": "bo"}, "x" * 32)]:
        expect(f"with {bad[:12]}", holdpoint.ask("GET", "/v1/me", bad).status, 401)
    # A session of a program is none of a browser.
    answer = request("GET", holdpoint.url + "/v1/me", {"Cookie": f"holdpoint={token}"})
    expect("as a cookie", answer.status, 401)
    run = holdpoint.cli("logout")
    expect("logout", (run.returncode, run.stderr), (0, "Signed out.\n"))
    expect("the token", holdpoint.ask("GET", "/v1/me", token).status, 401)
    expect("whoami", holdpoint.cli("whoami").returncode, 2)


def a_file_that_others_can_read_is_refused(holdpoint, provider):
    device(holdpoint, "bo", "config")
    os.chmod(holdpoint.path("config/holdpoint/sessions.json"), 0o644)
    run = holdpoint.cli("whoami")
    expect("exit", run.returncode, 2)
    contains("words", run.stderr, "others can read")
    os.chmod(holdpoint.path("config/holdpoint/sessions.json"), 0o600)


def somebody_else_s_cookie_is_no_bearer(holdpoint, provider):
    browser = Browser()
    browser.sign_in(holdpoint, "ana")
    cookie = browser.jars[holdpoint.url.removeprefix("http://")]["holdpoint"]
    for token in [cookie, "hp_ses_" + cookie]:
        expect("answer", holdpoint.ask("GET", "/v1/me", token).status, 401)


def two_people_are_two_and_one_is_one(holdpoint, provider):
    ana, ana_again, bo = device(holdpoint, "ana"), device(holdpoint, "ana", "other"), device(holdpoint, "bo")
    approval = holdpoint.call("/two/people")
    expect("ana", holdpoint.decide(approval, ana).json()["state"], "pending")
    expect("ana again", holdpoint.decide(approval, ana_again).json()["state"], "pending")
    expect("bo", holdpoint.decide(approval, bo).json()["state"] != "pending", True)


def another_address_is_not_another_person(holdpoint, provider):
    device(holdpoint, "ana")
    provider.accounts(PEOPLE | {"ana": ANA | {"email": "ana2@example.com"}})
    page = Browser().sign_in(holdpoint, "ana")
    expect("status", page.status, 403)
    contains("page", page.words, "`ana@example.com` before, and is `ana2@example.com`")
    # Nor does somebody else become her by having her address now.
    provider.accounts(PEOPLE | {"eve": ANA})
    page = Browser().sign_in(holdpoint, "eve")
    expect("status", page.status, 403)
    contains("page", page.words, "was another account before")
    # After a restart as before, until the operator says otherwise.
    holdpoint.restart()
    provider_stays_for(holdpoint, provider)
    page = Browser().sign_in(holdpoint, "eve")
    expect("status", page.status, 403)
    holdpoint.configure(provider.issuer, subjects={"eve": "ana@example.com"})
    browser = Browser()
    browser.sign_in(holdpoint, "eve")
    expect("who", browser.is_signed_in(holdpoint), "ana@example.com")
    holdpoint.configure(provider.issuer)


def provider_stays_for(holdpoint, provider):
    """After a restart Holdpoint has another port, of which the provider has to know."""
    provider.stop()
    provider.settings["holdpoint"] = holdpoint.url
    provider.start()
    holdpoint.configure(provider.issuer)


def sessions_outlive_a_restart(holdpoint, provider):
    token = device(holdpoint, "bo")
    browser = Browser()
    browser.sign_in(holdpoint, "ana")
    before = holdpoint.url.removeprefix("http://")
    approval = holdpoint.call("/two/restart")
    expect("bo", holdpoint.decide(approval, token).json()["state"], "pending")
    holdpoint.restart()
    expect("bo", holdpoint.ask("GET", "/v1/me", token).json()["groups"], ["data-owners"])
    browser.jars[holdpoint.url.removeprefix("http://")] = browser.jars[before]
    expect("ana", browser.is_signed_in(holdpoint), "ana@example.com")
    detail = holdpoint.ask("GET", f"/v1/approvals/{approval['id']}", holdpoint.token).json()
    expect("bo's review counts", [slot.get("person") for slot in detail["quorum"]["slots"]].count("bo@example.com"), 1)
    provider_stays_for(holdpoint, provider)


def the_provider_ends_sessions(holdpoint, provider):
    browser, token, other = Browser(), device(holdpoint, "ana"), device(holdpoint, "bo")
    browser.sign_in(holdpoint, "ana")
    expect("who", browser.is_signed_in(holdpoint), "ana@example.com")
    page = browser.get(provider.issuer + "/session/end")
    browser.submit(page, logout="yes")
    eventually("the browser's session is over", lambda: browser.is_signed_in(holdpoint) is None)
    # That was the browser's session at the provider only.
    expect("bo", holdpoint.ask("GET", "/v1/me", other).status, 200)
    expect("the terminal's", holdpoint.ask("GET", "/v1/me", token).status, 200)
    holdpoint.restart()
    browser.jars[holdpoint.url.removeprefix("http://")] = dict(browser.jars.get(holdpoint.url.removeprefix("http://"), {}))
    expect("after a restart", browser.is_signed_in(holdpoint), None)
    provider_stays_for(holdpoint, provider)


def rotated_keys_are_fetched(holdpoint, provider):
    Browser().sign_in(holdpoint, "ana")
    provider.rotate()
    browser = Browser()
    # The keys were fetched a moment ago; until a new fetch is due the words say when to come again.
    eventually("signed in with the new keys", lambda: browser.sign_in(holdpoint, "ana").status == 200)
    expect("who", browser.is_signed_in(holdpoint), "ana@example.com")


def unknown_groups_let_nobody_in(holdpoint, provider):
    many = [f"group-{number}" for number in range(99)]
    for groups, status, words in [
        ({"groups": many + ["idp-owners"]}, 403, "lists 100 groups of yours"),
        ({"groups": many}, 200, ""),
        ({"groups": None}, 403, "has no `groups`"),
        ({"groups": None, "_claim_names": {"groups": "src1"}}, 403, "so many groups"),
        ({"groups": None, "hasgroups": True}, 403, "so many groups"),
        ({"groups": "idp-owners"}, 200, ""),
        ({"groups": [1]}, 403, "not a list of texts"),
    ]:
        account = {name: value for name, value in (ANA | groups).items() if value is not None}
        provider.accounts(PEOPLE | {"ana": account})
        page = Browser().sign_in(holdpoint, "ana")
        expect(f"status with {str(groups)[:60]}", page.status, status)
        contains("page", page.words, words)


def an_unverified_address_is_nobody(holdpoint, provider):
    for verified in [False, None, "false"]:
        account = {name: value for name, value in (ANA | {"email_verified": verified}).items() if value is not None}
        provider.accounts(PEOPLE | {"ana": account})
        page = Browser().sign_in(holdpoint, "ana")
        expect("status", page.status, 403)
        contains("page", page.words, "verified")


def a_sub_is_a_name_of_its_own(holdpoint, provider):
    holdpoint.configure(provider.issuer, person_claim=None)
    browser = Browser()
    browser.sign_in(holdpoint, "bo")
    # Known as bo@example.com from before: the account is not another person because the claim is another.
    expect("status", browser.is_signed_in(holdpoint), None)
    provider.accounts(PEOPLE | {"dee": BO})
    browser = Browser()
    browser.sign_in(holdpoint, "dee")
    expect("who", browser.is_signed_in(holdpoint), "oidc:dee")
    holdpoint.configure(provider.issuer)


def who_says_no_at_the_provider_is_told_so(holdpoint, provider):
    browser = Browser()
    page = browser.get(holdpoint.url + "/signin/oidc")
    abort = re.search(r'href="([^"]*/abort)"', page.text)
    page = browser.get(urllib.parse.urljoin(page.url, abort[1]))
    expect("status", page.status, 403)
    contains("page", page.words, "access_denied")


def without_a_provider_there_is_no_sign_in(holdpoint, provider):
    token = device(holdpoint, "bo")
    contains("page", Browser().get(holdpoint.url + "/sign-in").words, "organisation’s account")
    sign_in, holdpoint.sign_in = holdpoint.sign_in, ""
    holdpoint.write("holdpoint.yaml", holdpoint.configuration())
    holdpoint.reload()
    expect("sign-in", request("GET", holdpoint.url + "/signin/oidc").status, 404)
    expect("device", holdpoint.ask("POST", "/v1/sign-in/device", None, {}).status, 404)
    expect("logout", request("POST", holdpoint.url + "/signin/oidc/backchannel-logout").status, 404)
    expect("an old session", holdpoint.ask("GET", "/v1/me", token).status, 401)
    expect("login", holdpoint.cli("login").returncode, 3)
    holdpoint.sign_in = sign_in
    holdpoint.write("holdpoint.yaml", holdpoint.configuration())
    holdpoint.reload()


# With the provider that misbehaves.


def good_tokens(holdpoint, provider):
    goes_right(holdpoint, provider)
    goes_right(holdpoint, provider, mint=lambda provider, claims, headers: provider.sign(claims, headers, "RS256"))
    goes_right(holdpoint, provider, claims={"aud": ["holdpoint"], "azp": "holdpoint"})
    goes_right(holdpoint, provider, callback={"iss": provider.issuer, "session_state": "x"})
    # Headers that name a key elsewhere are not looked at.
    goes_right(holdpoint, provider, headers={"jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/x"})


def bad_claims(holdpoint, provider):
    now = int(time.time())
    for claims, words in [
        ({"nonce": "another"}, "`nonce`"),
        ({"nonce": None}, "`nonce`"),
        ({"aud": "another"}, "`aud`"),
        ({"aud": ["holdpoint", "another"]}, "`aud`"),
        ({"aud": []}, "`aud`"),
        ({"aud": None}, "`aud`"),
        ({"azp": "another"}, "`azp`"),
        ({"iss": "https://another.example"}, "`iss`"),
        ({"iss": provider.issuer + "/"}, "`iss`"),
        ({"exp": now - 120}, "expired"),
        ({"exp": None}, "cannot be"),
        ({"iat": now - 3600}, "not made just now"),
        ({"iat": now + 3600}, "not made just now"),
        ({"nbf": now + 3600}, "`nbf`"),
        ({"sub": ""}, "`sub`"),
        ({"sub": "a" * 256}, "`sub`"),
        ({"email": None}, "no text `email`"),
        ({"email": "a b"}, "cannot name a person"),
        ({"email_verified": None}, "verified"),
    ]:
        try:
            status = 503 if words == "cannot be" else 403
            goes_wrong(holdpoint, provider, words, status, claims=claims)
        except Failed as error:
            raise Failed(f"with {str(claims)[:60]}: {error}") from None


def bad_signatures(holdpoint, provider):
    def none(provider, claims, headers):
        return jwt.encode(claims, None, "none", headers)

    def with_public_key(provider, claims, headers):
        # PyJWT refuses to make such a token, so its parts are put together here.
        import base64, hashlib, hmac
        part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
        message = part({"alg": "HS256", "typ": "JWT", "kid": provider.keys["RS256"][0]}) + "." + part(claims)
        mac = hmac.new(provider.public_pem("RS256"), message.encode(), hashlib.sha256).digest()
        return message + "." + base64.urlsafe_b64encode(mac).decode().rstrip("=")

    def with_secret(provider, claims, headers):
        with open(holdpoint.path("oidc.secret"), encoding="utf-8") as file:
            return jwt.encode(claims, file.read(), "HS256")

    def changed(provider, claims, headers):
        head, _, signature = provider.sign(claims, headers).split(".")
        return ".".join([head, provider.sign(claims | {"email": "bo@example.com"}, headers).split(".")[1], signature])

    def of_another_key(provider, claims, headers):
        kid, _ = provider.keys["ES256"]
        from parts import make_keys
        return jwt.encode(claims, make_keys()["ES256"][1], "ES256", {"kid": kid})

    def confused(provider, claims, headers):
        return jwt.encode(claims, provider.keys["RS256"][1], "RS256", {"kid": provider.keys["ES256"][0]})

    for mint, words in [
        (none, "not signed"),
        (with_public_key, "algorithm"),
        (with_secret, "algorithm"),
        (changed, "signature is wrong"),
        (of_another_key, "signature is wrong"),
        (confused, "key that it does not publish"),
    ]:
        try:
            goes_wrong(holdpoint, provider, words, mint=mint)
        except Failed as error:
            raise Failed(f"{mint.__name__}: {error}") from None
    for headers, words in [
        ({"kid": "../../../etc/passwd"}, "key that it does not publish"),
        ({"crit": ["exp"]}, "form that is not accepted"),
        ({"typ": "logout+jwt"}, "form that is not accepted"),
    ]:
        goes_wrong(holdpoint, provider, words, headers=headers)


def bad_answers(holdpoint, provider):
    goes_wrong(holdpoint, provider, "`iss` is missing or another one", callback={"iss": "https://another.example"})
    goes_wrong(holdpoint, provider, "no sign-in that this browser has begun", callback={"state": "a" * 43})
    goes_wrong(holdpoint, provider, "no sign-in that this browser has begun", callback={"state": None})
    goes_wrong(holdpoint, provider, "refused the sign-in (`access_denied`)", callback={"error": "access_denied", "code": None})
    goes_wrong(holdpoint, provider, "(`unknown_error`)", callback={"error": "<script>alert(1)</script>", "code": None})
    goes_wrong(holdpoint, provider, "(`no_code`)", callback={"code": None})
    refuse = lambda provider, handler: provider.say(handler, {"error": "invalid_grant"}, 400)
    goes_wrong(holdpoint, provider, "(`invalid_grant`)", token=refuse)
    without = lambda provider, handler: provider.say(handler, {"access_token": "x", "token_type": "Bearer"})
    goes_wrong(holdpoint, provider, "there is none", token=without)
    elsewhere = lambda provider, handler: provider.say(handler, {}, 302, [("Location", provider.issuer + "/keys")])
    asked = provider.asked.count("/keys")
    goes_wrong(holdpoint, provider, "does not answer as it should", 503, token=elsewhere)
    expect("redirects followed", provider.asked.count("/keys"), asked)
    huge = lambda provider, handler: provider.say(handler, {"access_token": "x" * 1_000_000, "token_type": "Bearer"})
    goes_wrong(holdpoint, provider, "does not answer as it should", 503, token=huge)


def an_answer_is_for_the_browser_that_asked(holdpoint, provider):
    provider.behave()
    attacker, victim = Browser(), Browser()
    answer = attacker.get(holdpoint.url + "/signin/oidc", stop=callback(holdpoint))
    # Somebody is sent here with another one's answer, to work under that one's name.
    page = victim.get(answer.url)
    expect("status", page.status, 403)
    expect("who", victim.is_signed_in(holdpoint), None)
    # An answer is good once.
    browser = Browser()
    answer = browser.get(holdpoint.url + "/signin/oidc", stop=callback(holdpoint))
    expect("first", browser.get(answer.url).status, 200)
    expect("second", browser.get(answer.url).status, 403)
    # Two windows do not disturb each other.
    browser = Browser()
    answers = [browser.get(holdpoint.url + "/signin/oidc", stop=callback(holdpoint)) for _ in range(2)]
    first_request = provider.request
    expect("the later one", browser.get(answers[1].url).status, 200)
    # And the way back leads nowhere else.
    page = Browser().get(holdpoint.url + "/signin/oidc?to=" + urllib.parse.quote("//evil.example/", safe=""))
    expect("place", page.url, holdpoint.url + "/")
    expect("what was asked", (first_request["response_type"], first_request["code_challenge_method"]), ("code", "S256"))
    contains("scope", first_request["scope"], "openid")


def a_logout_token_is_as_strict(holdpoint, provider):
    url = holdpoint.url + "/signin/oidc/backchannel-logout"
    event = {"http://schemas.openid.net/event/backchannel-logout": {}}

    def send(token, kind="application/x-www-form-urlencoded"):
        return request("POST", url, {"Content-Type": kind}, urllib.parse.urlencode({"logout_token": token}))

    def token(headers=None, name="ES256", **claims):
        now = int(time.time())
        all_claims = {"iss": provider.issuer, "aud": "holdpoint", "iat": now, "exp": now + 120, "jti": os.urandom(8).hex(),
                      "sub": "00u1", "events": event} | claims
        all_claims = {name: value for name, value in all_claims.items() if value is not None}
        return provider.sign(all_claims, {"typ": "logout+jwt"} | (headers or {}), name)

    browser = goes_right(holdpoint, provider)
    now = int(time.time())
    bad = [
        token(aud="another"), token(aud=["holdpoint", "another"]), token(iss="https://another.example"), token(iat=now - 3600),
        token(iat=None), token(exp=now - 120), token(events={}), token(events=None), token(nonce="x"), token(jti=None), token(sub=None),
        token({"typ": "JOSE"}), token({"kid": "unknown"}), token({"crit": ["x"]}), "no token", "", token()[:-4] + "AAAA",
        jwt.encode({"iss": provider.issuer, "aud": "holdpoint", "sub": "00u1"}, None, "none"), provider.token("x"),
    ]
    for number, value in enumerate(bad):
        answer = send(value)
        expect(f"bad token {number}", (answer.status, answer.headers["Cache-Control"]), (400, "no-store"))
    expect("no form", send(token(), "application/json").status, 400)
    expect("who", browser.is_signed_in(holdpoint), "ana@example.com")
    expect("another account", send(token(sub="other")).status, 200)
    expect("who", browser.is_signed_in(holdpoint), "ana@example.com")
    good = token(name="RS256")
    expect("good", send(good).status, 200)
    expect("who", browser.is_signed_in(holdpoint), None)
    browser = goes_right(holdpoint, provider)
    expect("again", send(good).status, 400)
    expect("who", browser.is_signed_in(holdpoint), "ana@example.com")
    # Only one session at the provider is over.
    first = goes_right(holdpoint, provider, claims={"sid": "s1"})
    second = goes_right(holdpoint, provider, claims={"sid": "s2"})
    expect("by session", send(token(sub=None, sid="s1")).status, 200)
    expect("first", first.is_signed_in(holdpoint), None)
    expect("second", second.is_signed_in(holdpoint), "ana@example.com")


def keys_are_fetched_once_in_a_while(holdpoint, provider):
    goes_right(holdpoint, provider)
    asked = provider.asked.count("/keys")
    for _ in range(5):
        goes_wrong(holdpoint, provider, "key that it does not publish", headers={"kid": "unknown"})
    fetched = provider.asked.count("/keys") - asked
    expect("fetched at most once", fetched <= 1, True)
    provider.rotate()
    eventually("signed in with new keys", lambda: Browser().get(holdpoint.url + "/signin/oidc").status == 200, headers(provider))


def headers(provider):
    provider.behave()


def bad_discovery(holdpoint, provider):
    """Each with a fresh start, since what was learned is kept for a while."""
    for metadata, words in [
        ({"issuer": "https://another.example"}, "must be the same"),
        ({"issuer": provider.issuer + "/"}, "must be the same"),
        ({"token_endpoint": "http://another.example/token"}, "not encrypted"),
        ({"jwks_uri": None}, "cannot be read"),
        ({"authorization_endpoint": "file:///etc/passwd"}, "not encrypted"),
    ]:
        holdpoint.configure(provider.issuer)
        goes_wrong(holdpoint, provider, words, 503, metadata=metadata)
    holdpoint.configure(provider.issuer)
    goes_wrong(holdpoint, provider, "`iss` is missing", metadata={"authorization_response_iss_parameter_supported": True})
    holdpoint.configure(provider.issuer)
    goes_right(holdpoint, provider, callback={"iss": provider.issuer}, metadata={"authorization_response_iss_parameter_supported": True})
    run = holdpoint.cli("login")
    expect(f"login ({run.stderr})", run.returncode, 4)
    contains("login", run.stderr, "no sign-in by device code")
    holdpoint.configure(provider.issuer, device_sign_in=None)
    run = holdpoint.cli("login")
    expect(f"login where it is off ({run.stderr})", run.returncode, 4)
    contains("login where it is off", run.stderr, "reviewers.oidc.device_sign_in")
    holdpoint.configure("http://127.0.0.1:9")
    provider.behave()
    answer = Browser().get(holdpoint.url + "/signin/oidc")
    expect("status", answer.status, 503)
    contains("page", answer.words, "cannot be connected to")
    holdpoint.configure(provider.issuer)


def nothing_secret_is_logged(holdpoint, provider):
    goes_right(holdpoint, provider)
    log = "".join(holdpoint.process.seen)
    for secret in ["the secret of this deployment", "a-code", "hp_ses_", "eyJ"]:
        if secret in log:
            raise Failed(f"the log has `{secret}`")
    text = request("GET", holdpoint.url + "/metrics").text
    contains("figures", text, 'holdpoint_sign_ins_total{result="cookie"}')


def eventually(what, holds, _=None):
    end = time.monotonic() + DEADLINE
    while not holds():
        if time.monotonic() > end:
            raise Failed(f"not within {DEADLINE} s: {what}")
        time.sleep(0.2)


GOOD = [
    signs_in_and_approves, a_person_without_the_group_cannot_review, signs_in_from_the_command_line, a_file_that_others_can_read_is_refused,
    somebody_else_s_cookie_is_no_bearer, two_people_are_two_and_one_is_one, sessions_outlive_a_restart, the_provider_ends_sessions,
    rotated_keys_are_fetched, unknown_groups_let_nobody_in, an_unverified_address_is_nobody, a_sub_is_a_name_of_its_own,
    who_says_no_at_the_provider_is_told_so, without_a_provider_there_is_no_sign_in, another_address_is_not_another_person,
]
BAD = [
    good_tokens, bad_claims, bad_signatures, bad_answers, an_answer_is_for_the_browser_that_asked, a_logout_token_is_as_strict,
    keys_are_fetched_once_in_a_while, bad_discovery, nothing_secret_is_logged,
]


def run(program, wanted, cases, make):
    cases = [case for case in cases if not wanted or case.__name__ in wanted]
    if not cases:
        return 0, 0
    holdpoint = Holdpoint(program)
    provider = make(holdpoint)
    failed = 0
    for case in cases:
        try:
            if isinstance(provider, GoodProvider):
                provider.accounts(PEOPLE)
            else:
                provider.behave()
            if not holdpoint.sign_in:
                holdpoint.configure(provider.issuer)
            case(holdpoint, provider)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            holdpoint.sign_in = ""
            print(f"FAIL  {case.__name__}: {type(error).__name__}: {error}", flush=True)
            if not isinstance(error, Failed):
                import traceback
                traceback.print_exc()
        else:
            print(f"ok    {case.__name__}", flush=True)
    holdpoint.end()
    if isinstance(provider, GoodProvider):
        provider.stop()
    return len(cases) - failed, failed


def main():
    program, *wanted = sys.argv[1:]
    unknown = set(wanted) - {case.__name__ for case in GOOD + BAD}
    if unknown:
        sys.exit(f"error: no such case: {', '.join(sorted(unknown))}")
    good = run(program, wanted, GOOD, lambda holdpoint: GoodProvider(holdpoint, PEOPLE))
    bad = run(program, wanted, BAD, lambda _: BadProvider())
    print(f"{good[0] + bad[0]} passed, {good[1] + bad[1]} failed")
    sys.exit(1 if good[1] + bad[1] else 0)


if __name__ == "__main__":
    main()
