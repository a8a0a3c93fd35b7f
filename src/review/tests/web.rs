//! The pages: who gets them, what forms do, and that no text does anything.

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::Request;
use axum::http::header;
use http_body_util::BodyExt;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use tower::ServiceExt;

use crate::identity::ReviewerTokens;
use crate::model::ApprovalId;
use crate::model::Assurance;
use crate::model::Message;
use crate::model::visible::is_hidden;

use super::Fixture;

/// Names and values.
type Fields<'a> = &'a [(&'a str, &'a str)];

/// A browser without scripts: one cookie, and fields as browsers send them.
struct Browser {
    router: Router,
    cookie: Option<String>,
    site: &'static str,
}

struct Page {
    status: u16,
    headers: HeaderMap,
    html: String,
}

impl Page {
    fn place(&self) -> &str {
        self.headers[header::LOCATION].to_str().unwrap()
    }

    fn has(&self, text: &str) -> bool {
        self.html.contains(text)
    }

    /// The value of the hidden field `name`.
    fn field(&self, name: &str) -> String {
        let (_, rest) =
            self.html.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name}"));
        rest.split('"').next().unwrap().to_owned()
    }

    /// What the alert says.
    fn alert(&self) -> String {
        let (_, rest) = self.html.split_once("role=\"alert\">").unwrap_or_else(|| panic!("no alert in {}", self.html));
        let text = rest.split("</div>").next().unwrap();
        text.replace("<strong>", "").replace("</strong>", "")
    }
}

impl Browser {
    fn new(fixture: &Fixture) -> Self {
        Self { router: fixture.router(), cookie: None, site: "same-origin" }
    }

    async fn signed_in(fixture: &Fixture, who: &str) -> Self {
        let mut browser = Self::new(fixture);
        browser.sign_in(fixture.token(who)).await;
        browser
    }

    /// Another one that talks to the same process.
    async fn beside(&self, fixture: &Fixture, who: &str) -> Self {
        let mut other = Self { router: self.router.clone(), cookie: None, site: "same-origin" };
        other.sign_in(fixture.token(who)).await;
        other
    }

    async fn sign_in(&mut self, token: &str) -> Page {
        let page = self.post("/sign-in", &[("token", token), ("to", "/")]).await;
        if let Some(cookie) = page.headers.get(header::SET_COOKIE) {
            self.cookie = Some(cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
        }
        page
    }

    async fn get(&self, target: &str) -> Page {
        self.send("GET", target, None, &[]).await
    }

    async fn post(&self, target: &str, fields: &[(&str, &str)]) -> Page {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.send("POST", target, Some(pairs.join("&")), &[]).await
    }

    async fn send(&self, method: &str, target: &str, form: Option<String>, more: &[(&str, &str)]) -> Page {
        let mut request = Request::builder().method(method).uri(target).header("sec-fetch-site", self.site);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        if form.is_some() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        let request = request.body(form.map_or_else(Body::empty, Body::from)).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Page { status: parts.status.as_u16(), headers: parts.headers, html: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// Looks at an approval and presses a button.
    async fn press(&self, id: ApprovalId, verdict: &str, more: &[(&str, &str)]) -> Page {
        let shown = self.get(&format!("/a/{id}")).await;
        let (csrf, digest) =
            (shown.field("csrf"), shown.html.contains("name=\"digest\"").then(|| shown.field("digest")));
        let digest = digest.unwrap_or_default();
        let mut fields = vec![("csrf", csrf.as_str()), ("digest", digest.as_str()), ("verdict", verdict)];
        fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        fields.extend(more);
        self.post(&format!("/a/{id}"), &fields).await
    }
}

async fn state(fixture: &Fixture, id: ApprovalId) -> &'static str {
    fixture.approvals.get(id).await.unwrap().unwrap().state.name()
}

#[tokio::test]
async fn a_token_opens_a_session_that_ends_with_it() {
    let fixture = Fixture::new().await;
    let hold = fixture.hold("/customers/export").await;
    let mut browser = Browser::new(&fixture);
    for place in ["/", "/history", "/overview", "/rules", "/agents"] {
        assert_eq!(browser.get(place).await.status, 303, "{place}");
    }
    let asked = browser.get(&format!("/a/{}", hold.id())).await;
    assert!(asked.place().starts_with("/sign-in?to=%2Fa%2Fapr"), "{}", asked.place());
    let form = browser.get(asked.place()).await;
    assert_eq!((form.status, form.field("to")), (200, format!("/a/{}", hold.id())));

    let agent_key = fixture.agent_key.clone();
    for token in
        ["", "nonsense", agent_key.as_str(), "hp_pat_aaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbcccccc"]
    {
        let refused = browser.sign_in(token).await;
        assert_eq!((refused.status, refused.headers.get(header::SET_COOKIE)), (401, None), "{token}");
        assert!(refused.has("role=\"alert\"") && !refused.has(&agent_key));
    }
    let page = browser.sign_in(fixture.token("bo")).await;
    assert_eq!((page.status, page.place()), (303, "/"));
    let cookie = page.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.starts_with("holdpoint=") && cookie.ends_with("; Path=/; Max-Age=28800; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    assert!(browser.get("/").await.has("Exports every customer"));

    // The session is worth no more than the token.
    fixture.state.tokens.store(std::sync::Arc::new(ReviewerTokens::default()));
    assert_eq!(browser.get("/").await.status, 303);
    assert_eq!(browser.post(&format!("/a/{}", hold.id()), &[("verdict", "approve")]).await.status, 303);
    assert_eq!(state(&fixture, hold.id()).await, "pending");
}

#[tokio::test]
async fn whoever_leaves_has_left() {
    let fixture = Fixture::new().await;
    let browser = Browser::signed_in(&fixture, "bo").await;
    let csrf = browser.get("/").await.field("csrf");
    // Another site cannot do it for them.
    assert_eq!(browser.post("/sign-out", &[("csrf", "guess")]).await.status, 303);
    assert_eq!(browser.get("/").await.status, 200);
    let left = browser.post("/sign-out", &[("csrf", &csrf)]).await;
    assert!(left.headers[header::SET_COOKIE].to_str().unwrap().starts_with("holdpoint=; Path=/; Max-Age=0;"));
    assert_eq!(browser.get("/").await.status, 303);
    // So has whoever does nothing for half an hour.
    let browser = Browser::signed_in(&fixture, "bo").await;
    fixture.later(1_799);
    assert_eq!(browser.get("/").await.status, 200);
    fixture.later(1_801);
    assert_eq!(browser.get("/").await.status, 303);
}

#[tokio::test]
async fn where_tls_is_spoken_the_cookie_says_so() {
    let fixture = Fixture::new().await;
    let browser = Browser::new(&fixture);
    let form = format!("token={}", fixture.token("bo"));
    let fields = [("host", "holdpoint.example"), ("origin", "https://holdpoint.example")];
    let page = browser.send("POST", "/sign-in", Some(form), &fields).await;
    let cookie = page.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-holdpoint=") && cookie.ends_with("; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
}

#[tokio::test]
async fn too_many_failures_have_to_wait() {
    let fixture = Fixture::new().await;
    let mut browser = Browser::new(&fixture);
    for _ in 0..10 {
        assert_eq!(browser.sign_in("nonsense").await.status, 401);
    }
    let refused = browser.sign_in(fixture.token("bo")).await;
    assert_eq!((refused.status, &refused.headers["retry-after"]), (429, &"61".parse().unwrap()));
    fixture.later(61);
    assert_eq!(browser.sign_in(fixture.token("bo")).await.status, 303);
}

#[tokio::test]
async fn every_page_is_bound_to_this_site() {
    let fixture = Fixture::new().await;
    let hold = fixture.hold("/customers/export").await;
    let browser = Browser::signed_in(&fixture, "bo").await;
    let decision = format!("/a/{}", hold.id());
    for place in [
        "/",
        "/history?q=x",
        "/overview",
        "/rules",
        "/agents",
        "/sign-in",
        decision.as_str(),
        "/a/nonsense",
        "/?after=x",
    ] {
        let page = browser.get(place).await;
        let field = |name: &str| page.headers[name].to_str().unwrap().to_owned();
        assert_eq!(field("content-type"), "text/html; charset=utf-8", "{place}");
        let policy = field("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{place}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(field("cache-control"), "no-store", "{place}");
        assert_eq!(field("cross-origin-opener-policy"), "same-origin");
        assert_eq!(field("cross-origin-resource-policy"), "same-origin");
        assert_eq!(
            (field("referrer-policy"), field("x-content-type-options")),
            ("same-origin".to_owned(), "nosniff".to_owned())
        );
        for inline in ["<style", " style=", " onclick=", "javascript:"] {
            assert!(!page.has(inline), "{place} has {inline}");
        }
    }
    let style = browser.get("/assets/app.css").await;
    assert!(style.headers["cache-control"].to_str().unwrap().contains("immutable"));
}

#[tokio::test]
async fn a_form_decides_exactly_what_it_shows() {
    let fixture = Fixture::new().await;
    let browser = Browser::signed_in(&fixture, "bo").await;
    let hold = fixture.hold("/customers/export?all=1").await;
    let id = hold.id();
    let page = browser.get(&format!("/a/{id}")).await;
    for text in [
        "Exports every customer",
        "deploy-bot",
        "ana@example.com",
        "exports-need-an-owner",
        "customer data leaves",
        "quarterly report",
        "Written by the agent, verified by nobody",
        "POST",
        "payments.internal",
        "/customers/export",
        "?all=1",
        "one of <strong>data-owners</strong>",
        "content-type",
        "{\n  &#34;format&#34;: &#34;csv&#34;\n}",
        "{&#34;format&#34;:&#34;csv&#34;}",
    ] {
        assert!(page.has(text), "no {text} in {}", page.html);
    }
    let (csrf, digest) = (page.field("csrf"), page.field("digest"));
    let other = format!("sha256:{}", "0".repeat(64));
    let place = format!("/a/{id}");
    let cases: [(Fields<'_>, u16, &str); 7] = [
        (&[("digest", &digest), ("verdict", "approve")], 403, "The page was made for another session"),
        (
            &[("csrf", "guess"), ("digest", &digest), ("verdict", "approve")],
            403,
            "The page was made for another session",
        ),
        (&[("csrf", &csrf), ("digest", &other), ("verdict", "approve")], 409, "The digest is that of another call"),
        (&[("csrf", &csrf), ("digest", "x"), ("verdict", "approve")], 400, "The request cannot be read"),
        (&[("csrf", &csrf), ("verdict", "approve")], 400, "The request cannot be read"),
        (&[("csrf", &csrf), ("digest", &digest), ("verdict", "yes")], 400, "The request cannot be read"),
        (&[("csrf", &csrf), ("digest", &digest), ("verdict", "ask"), ("reason", " ")], 422, "A question needs words"),
    ];
    for (fields, status, says) in cases {
        let page = browser.post(&place, fields).await;
        assert_eq!(page.status, status, "{fields:?}");
        assert!(page.alert().starts_with(says), "{fields:?}: {}", page.alert());
        assert_eq!(state(&fixture, id).await, "pending", "{fields:?}");
    }
    let approved = browser.press(id, "approve", &[("reason", "agreed\r\nwith finance")]).await;
    assert_eq!((approved.status, approved.place()), (303, format!("/a/{id}?done").as_str()));
    assert_eq!(state(&fixture, id).await, "approved");
    let record = fixture.approvals.get(id).await.unwrap().unwrap();
    assert_eq!((record.reviews[0].channel.as_str(), record.reviews[0].assurance), ("web", Assurance::Session));
    assert_eq!(record.reviews[0].reason.as_deref(), Some("agreed\nwith finance"));
    let page = browser.get(approved.place()).await;
    assert!(page.alert().starts_with("You have approved it"), "{}", page.alert());
    // A link that says so makes nothing of it.
    let cy = browser.beside(&fixture, "cy").await;
    assert!(!cy.get(approved.place()).await.has("role=\"alert\""));
}

#[tokio::test]
async fn asking_for_a_page_decides_nothing() {
    let fixture = Fixture::new().await;
    let browser = Browser::signed_in(&fixture, "bo").await;
    let hold = fixture.hold("/customers/export").await;
    let page = browser.get(&format!("/a/{}", hold.id())).await;
    let query = format!("csrf={}&digest={}&verdict=approve", page.field("csrf"), page.field("digest"));
    for method in ["GET", "HEAD"] {
        for purpose in [("sec-purpose", "prefetch"), ("user-agent", "Slackbot-LinkExpanding 1.0")] {
            browser.send(method, &format!("/a/{}?{query}", hold.id()), None, &[purpose]).await;
        }
    }
    assert_eq!(state(&fixture, hold.id()).await, "pending");
    assert_eq!(browser.send("PUT", &format!("/a/{}", hold.id()), Some(query), &[]).await.status, 405);
}

#[tokio::test]
async fn another_site_decides_nothing() {
    let fixture = Fixture::new().await;
    let mut browser = Browser::signed_in(&fixture, "bo").await;
    let hold = fixture.hold("/customers/export").await;
    let page = browser.get(&format!("/a/{}", hold.id())).await;
    let (csrf, digest) = (page.field("csrf"), page.field("digest"));
    let fields = [("csrf", csrf.as_str()), ("digest", digest.as_str()), ("verdict", "approve")];
    for site in ["cross-site", "same-site", "none"] {
        browser.site = site;
        let refused = browser.post(&format!("/a/{}", hold.id()), &fields).await;
        assert_eq!(refused.status, 403, "{site}");
        assert!(refused.has("This did not come from a page of this site"));
        assert_eq!(browser.sign_in(fixture.token("bo")).await.status, 403, "{site}");
    }
    // The cookie opens the API for reading only.
    browser.site = "same-origin";
    let me = browser.get("/v1/me").await.html;
    assert!(me.starts_with("{\"person\":\"bo@example.com\",\"groups\":[\"data-owners\"],\"session_expires\":"), "{me}");
    let decide = format!("/v1/approvals/{}/decisions", hold.id());
    assert_eq!(browser.send("POST", &decide, Some(String::new()), &[]).await.status, 401);
    assert_eq!(state(&fixture, hold.id()).await, "pending");
}

#[tokio::test]
async fn what_has_no_effect_is_told_apart() {
    let fixture = Fixture::new().await;
    let bo = Browser::signed_in(&fixture, "bo").await;
    let (ana, cy, eve) =
        (bo.beside(&fixture, "ana").await, bo.beside(&fixture, "cy").await, bo.beside(&fixture, "eve").await);
    let hold = fixture.hold("/a").await;
    let id = hold.id();
    let shown = cy.get(&format!("/a/{id}")).await;
    let (csrf, digest) = (shown.field("csrf"), shown.field("digest"));

    // Those who may not are not offered it, and told why; if they try, it has no effect.
    let own = ana.get(&format!("/a/{id}")).await;
    assert!(own.has("This is a call of your own agent") && !own.has("value=\"approve\""));
    let stranger = eve.get(&format!("/a/{id}")).await;
    assert!(stranger.has("is in none of the groups") && !stranger.has("name=\"verdict\""));
    for (who, verdict, status, says) in [
        (&ana, "approve", 403, "Nobody decides on their own call"),
        (&ana, "deny", 403, "Nobody decides on their own call"),
        (&eve, "deny", 403, "Others review this call"),
        (&bo, "withdraw", 403, "Only those behind the call may do this"),
    ] {
        let page = who.press(id, verdict, &[("digest", &digest)]).await;
        assert_eq!((page.status, page.alert().starts_with(says)), (status, true), "{verdict}: {}", page.alert());
    }
    assert_eq!(bo.press(id, "deny", &[("reason", "too much")]).await.status, 303);
    let late = cy.post(&format!("/a/{id}"), &[("csrf", &csrf), ("digest", &digest), ("verdict", "approve")]).await;
    assert_eq!(late.status, 409);
    assert!(late.alert().starts_with("The approval is settled already"), "{}", late.alert());
    assert!(late.has("Denied by bo@example.com") && late.has("too much") && !late.has("name=\"verdict\""));

    let hold = fixture.hold("/b").await;
    let shown = cy.get(&format!("/a/{}", hold.id())).await;
    let (csrf, digest) = (shown.field("csrf"), shown.field("digest"));
    fixture.later(901);
    let late =
        cy.post(&format!("/a/{}", hold.id()), &[("csrf", &csrf), ("digest", &digest), ("verdict", "approve")]).await;
    assert_eq!(late.status, 410);
    assert!(late.alert().contains("the agent asks again"), "{}", late.alert());

    let strict = fixture.hold_with("/c", |_, asks| asks.assurance = Assurance::Stepup).await;
    let page = cy.get(&format!("/a/{}", strict.id())).await;
    assert!(page.has("value=\"deny\"") && !page.has("value=\"approve\"") && page.has("stronger channel"));
    let reasoned = fixture.hold_with("/d", |_, asks| asks.require_reason = true).await;
    let page = cy.press(reasoned.id(), "approve", &[]).await;
    assert_eq!((page.status, page.alert().starts_with("The policy asks for a reason")), (422, true));
}

#[tokio::test]
async fn questions_are_answered_and_calls_taken_back_by_those_behind_them() {
    let fixture = Fixture::new().await;
    let bo = Browser::signed_in(&fixture, "bo").await;
    let ana = bo.beside(&fixture, "ana").await;
    let hold = fixture.hold("/a").await;
    let id = hold.id();
    assert_eq!(bo.press(id, "ask", &[("reason", "which quarter?")]).await.status, 303);
    assert!(bo.get(&format!("/a/{id}?done")).await.alert().starts_with("It was sent"));
    let page = ana.get(&format!("/a/{id}")).await;
    assert!(page.has("Open question of bo@example.com") && page.has("which quarter?"));
    assert_eq!(ana.press(id, "answer", &[("reason", "the third")]).await.status, 303);
    assert!(bo.get(&format!("/a/{id}")).await.has("the third"));
    assert_eq!(ana.press(id, "answer", &[("reason", "again")]).await.status, 409);
    assert_eq!(ana.press(id, "withdraw", &[("reason", "not needed")]).await.status, 303);
    assert_eq!(state(&fixture, id).await, "withdrawn");
    assert!(ana.get(&format!("/a/{id}?done")).await.alert().starts_with("You have taken it back"));
}

#[tokio::test]
async fn what_was_approved_can_be_denied_until_it_runs() {
    let fixture = Fixture::new().await;
    let bo = Browser::signed_in(&fixture, "bo").await;
    let cy = bo.beside(&fixture, "cy").await;
    let hold = fixture.hold("/a").await;
    bo.press(hold.id(), "approve", &[]).await;
    let page = cy.get(&format!("/a/{}", hold.id())).await;
    assert!(page.has("Deny after all") && !page.has("value=\"approve\"") && !page.has("value=\"ask\""));
    assert_eq!(cy.press(hold.id(), "deny", &[("reason", "found out more")]).await.status, 303);
    assert_eq!(state(&fixture, hold.id()).await, "revoked");
    let page = bo.get(&format!("/a/{}", hold.id())).await;
    assert!(page.has("Approved, and revoked") && page.has("found out more"), "{}", page.html);
}

#[tokio::test]
async fn what_cannot_be_undone_is_confirmed_by_hand() {
    let fixture = Fixture::new().await;
    let bo = Browser::signed_in(&fixture, "bo").await;
    let hold = fixture.hold_with("/a", |_, asks| asks.irreversible = true).await;
    let id = hold.id();
    let digest = fixture.digest(id).await;
    let page = bo.get(&format!("/a/{id}")).await;
    assert!(page.has("this cannot be undone") && page.has(&format!("Type <b class=\"digits\">{}</b>", &digest[7..11])));
    for typed in ["", "0", &digest[7..10], "zzzz"] {
        let page = bo.press(id, "approve", &[("confirm", typed), ("reason", "kept words")]).await;
        assert_eq!((page.status, state(&fixture, id).await), (422, "pending"), "{typed}");
        assert!(page.has("kept words"));
    }
    let typed = digest[7..11].to_uppercase();
    assert_eq!(bo.press(id, "approve", &[("confirm", &typed)]).await.status, 303);
    assert_eq!(state(&fixture, id).await, "approved");
}

#[tokio::test]
async fn a_long_body_is_read_before_it_is_approved() {
    let fixture = Fixture::new().await;
    let bo = Browser::signed_in(&fixture, "bo").await;
    let text = "é".repeat(300_000);
    let long = |call: &mut crate::model::Call| {
        let Message::Http(request) = &mut call.message;
        request.body = crate::model::Body::Read { bytes: text.clone().into(), trailers: HeaderMap::new() };
    };
    let hold = fixture.hold_with("/a", |call, _| long(call)).await;
    let id = hold.id();
    let page = bo.get(&format!("/a/{id}")).await;
    assert!(page.has("0 of 3 parts were shown to you") && !page.has("value=\"approve\"") && page.has("value=\"deny\""));
    for number in 1..=3 {
        let refused = bo.press(id, "approve", &[]).await;
        assert_eq!(refused.status, 409, "{}", refused.alert());
        let part = bo.get(&format!("/a/{id}/body/{number}")).await;
        assert!(part.has(&format!("{number} of 3 parts were shown to you")) && part.has("ééé"), "{number}");
    }
    assert_eq!(bo.get(&format!("/a/{id}/body/4")).await.status, 400);
    assert!(bo.get(&format!("/a/{id}")).await.has("value=\"approve\""));
    // What one has read counts for nobody else, and taking it along counts too.
    let cy = bo.beside(&fixture, "cy").await;
    assert_eq!(cy.press(id, "approve", &[]).await.status, 409);
    assert_eq!(cy.get(&format!("/v1/approvals/{id}/body")).await.html, text);
    assert_eq!(cy.press(id, "approve", &[]).await.status, 303);
    assert_eq!(state(&fixture, id).await, "approved");
    assert!(bo.get(&format!("/a/{id}")).await.has("Approved"));
}

#[tokio::test]
async fn bodies_are_shown_whole_whatever_they_are() {
    let fixture = Fixture::new().await;
    let bo = Browser::signed_in(&fixture, "bo").await;
    let cases: [(&str, &[u8], &[&str]); 4] = [
        ("application/octet-stream", b"\x00\xff<script>", &["00 ff 3c 73 63 72 69 70", "··&#60;script&#62;"]),
        ("application/x-www-form-urlencoded", b"amount=100&to=ac%63t+1", &["acct 1", "amount=100&amp;to=ac%63t+1"]),
        ("text/plain", b"two\nlines", &["two\nlines"]),
        ("text/plain", b"", &["It has no body."]),
    ];
    for (number, (kind, bytes, expected)) in cases.into_iter().enumerate() {
        let target = format!("/{number}");
        let hold = fixture.hold_with(&target, |call, _| {
            let Message::Http(request) = &mut call.message;
            request.headers.insert("content-type", kind.parse().unwrap());
            request.body = crate::model::Body::Read { bytes: bytes.to_vec().into(), trailers: HeaderMap::new() };
        });
        let hold = hold.await;
        let page = bo.get(&format!("/a/{}", hold.id())).await;
        for text in expected {
            assert!(page.has(text), "{kind}: no {text} in {}", page.html);
        }
    }
}

#[tokio::test]
async fn events_are_listed_and_proved() {
    let fixture = Fixture::new().await;
    let bo = Browser::signed_in(&fixture, "bo").await;
    let hold = fixture.hold("/a").await;
    let id = hold.id();
    bo.press(id, "approve", &[("reason", "fine")]).await;
    let page = bo.get(&format!("/a/{id}")).await;
    assert!(page.has("Held, asked for by") && page.has("Approved by") && page.has("for data-owners, by web"));
    let proofs: Vec<&str> = page
        .html
        .split("href=\"")
        .filter_map(|rest| rest.split('"').next())
        .filter(|place| place.contains("/proof?"))
        .collect();
    assert_eq!(proofs.len(), 3, "{proofs:?}");
    let vkey = fixture.state.log.vkey();
    fixture.close_log();
    for place in proofs.iter().copied().chain([format!("/v1/approvals/{id}/proof").as_str()]) {
        let proof = bo.get(place).await;
        assert_eq!(proof.status, 200, "{place}: {}", proof.html);
        let proven = crate::audit::Proof::verify(&proof.html, &vkey).unwrap();
        assert!(proven.leaf.contains(&id.to_string()));
    }
    assert_eq!(bo.get(&format!("/v1/approvals/{id}/proof?event=99")).await.status, 404);
    assert_eq!(bo.get(&format!("/v1/approvals/{id}/proof?event=x")).await.status, 400);
    assert_eq!(Browser::new(&fixture).get(proofs[0]).await.status, 401);
}

#[tokio::test]
async fn lists_are_searched_and_turned_over() {
    let fixture = Fixture::new().await;
    let bo = Browser::signed_in(&fixture, "bo").await;
    let mut holds = Vec::new();
    for number in 0..60 {
        holds.push(fixture.hold(&format!("/customers/{number}")).await);
    }
    let page = bo.get("/").await;
    assert_eq!(page.html.matches("class=\"row yours\"").count(), 50);
    let (_, rest) = page.html.split_once("rel=\"next\" href=\"").unwrap();
    let next = rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    assert_eq!(bo.get(&next).await.html.matches("class=\"row yours\"").count(), 10, "{next}");
    let eve = bo.beside(&fixture, "eve").await;
    assert!(eve.get("/").await.has("Nothing waits for you."));
    assert_eq!(eve.get("/?show=all").await.html.matches("class=\"row-link\"").count(), 50);
    bo.press(holds[7].id(), "deny", &[]).await;
    let rows = |query: &'static str| {
        let bo = &bo;
        async move { bo.get(&format!("/history?{query}")).await.html.matches("class=\"row-link\"").count() }
    };
    assert_eq!(rows("state=denied").await, 1);
    assert_eq!(rows("q=customers%2F42").await, 1);
    assert_eq!(rows("q=EXPORTS+customers%2F42").await, 1);
    assert_eq!(rows("q=bo%40example.com").await, 1);
    assert_eq!(rows("agent=deploy-bot&state=pending&q=%2F5").await, 11);
    assert_eq!(rows("agent=nobody").await, 0);
    assert_eq!(rows("rule=exports-need-an-owner").await, 50);
    assert_eq!(bo.get("/history?state=nonsense").await.status, 400);
    assert_eq!(bo.get(&format!("/history?q={}", "x".repeat(300))).await.status, 400);
}

#[tokio::test]
async fn figures_are_on_the_overview_and_the_rules() {
    let fixture = Fixture::new().await;
    let bo = Browser::signed_in(&fixture, "bo").await;
    for (target, verdict, seconds) in [("/a", "approve", 2), ("/b", "approve", 60), ("/c", "deny", 600)] {
        let hold = fixture.hold(target).await;
        fixture.later(seconds);
        assert_eq!(bo.press(hold.id(), verdict, &[]).await.status, 303);
    }
    fixture.later(10);
    let page = bo.get("/overview").await;
    assert!(page.has("of 3 decisions") && page.has("33 %") && page.has("67 %"), "{}", page.html);
    let page = bo.get("/rules").await;
    assert!(page.has("exports-need-an-owner") && page.has("67 % approved") && page.has("3 held"), "{}", page.html);
    let figures = bo.get("/metrics").await.html;
    assert!(figures.contains("holdpoint_review_dwell_seconds_count 3"), "{figures}");
    let hold = fixture.hold("/a").await;
    let page = bo.get(&format!("/a/{}", hold.id())).await;
    assert!(page.has("2 approved, 1 denied, 0 undecided in 30 days; 1 was exactly this call"), "{}", page.html);
    assert!(page.has("Compared with the last such call that was approved"));
    assert!(
        page.has("<dt>Path <code class=\"exact\"></code></dt><dd><del><code class=\"exact\">/b</code></del>"),
        "{}",
        page.html
    );
}

#[tokio::test]
async fn no_text_of_an_agent_does_anything_on_any_page() {
    let fixture = Fixture::new().await;
    let bo = Browser::signed_in(&fixture, "bo").await;
    let ana = bo.beside(&fixture, "ana").await;
    let corpus = super::fixture::hostile_texts();
    // What a page has without anything hostile in it.
    let plain = fixture.hold("/plain").await;
    bo.press(plain.id(), "ask", &[("reason", "why?")]).await;
    ana.press(plain.id(), "answer", &[("reason", "because")]).await;
    let tags = |page: &Page| {
        let count = |tag: &str| page.html.matches(tag).count();
        [
            "<script",
            "<form",
            "<button",
            "<input",
            "<img",
            "<iframe",
            "<a ",
            "<svg",
            "<style",
            "<link",
            "<meta",
            "<base",
            "<h1",
            "<textarea",
        ]
        .map(count)
    };
    let expected = tags(&bo.get(&format!("/a/{}", plain.id())).await);
    for (number, text) in corpus.iter().enumerate() {
        let hold = fixture.hold_saying(number, text).await;
        bo.press(hold.id(), "ask", &[("reason", text)]).await;
        ana.press(hold.id(), "answer", &[("reason", text)]).await;
        let decision = bo.get(&format!("/a/{}", hold.id())).await;
        let mut shown = tags(&decision);
        // Those that differ with what there is to show: none of them from the text.
        shown[4] = expected[4];
        assert_eq!(shown, expected, "{text:?} in {}", decision.html);
        for page in [
            decision,
            bo.get("/?show=all").await,
            bo.get(&format!("/history?q={number}")).await,
            bo.get("/overview").await,
        ] {
            assert_eq!(page.status, 200);
            let hidden: Vec<char> =
                page.html.chars().filter(|char| *char != '\n' && *char != '\t' && is_hidden(*char)).collect();
            assert!(hidden.is_empty(), "{hidden:?} for {text:?}");
            assert!(
                !text.contains(['<', '"', '\'']) || !page.html.contains(text.as_str()),
                "{text:?} is in {}",
                page.html
            );
        }
    }
}

#[tokio::test]
async fn what_is_redacted_and_who_may_stand_in_is_said() {
    let fixture = Fixture::new().await;
    let bo = Browser::signed_in(&fixture, "bo").await;
    let dee = bo.beside(&fixture, "dee").await;
    let hold = fixture.hold_with("/pay", |call, asks| {
        let Message::Http(request) = &mut call.message;
        let body = "{\"card\":{\"number\":\"4111111111111111\"},\"amount\":100}";
        request.body = crate::model::Body::Read { bytes: body.into(), trailers: HeaderMap::new() };
        asks.redact = vec!["/body/card/number".parse().unwrap()];
        let security = crate::model::Requirement { group: "security".to_owned(), count: 1 };
        let after = std::time::Duration::from_secs(300);
        asks.escalate = vec![crate::model::Escalation { after, reviewers: vec![security] }];
    });
    let hold = hold.await;
    let place = format!("/a/{}", hold.id());
    let page = bo.get(&place).await;
    assert!(
        page.has("The policy shows only hashes of: <code class=\"exact\">/body/card/number</code>"),
        "{}",
        page.html
    );
    assert!(page.has("Byte for byte, but for the hashes") && !page.has("4111"));
    assert!(page.has("or security, from <time"), "{}", page.html);
    assert!(!dee.get(&place).await.has("name=\"verdict\""));
    fixture.later(301);
    assert!(dee.get(&place).await.has("or security, who may stand in"));
    assert_eq!(dee.press(hold.id(), "approve", &[]).await.status, 303);
    assert!(bo.get(&place).await.has("for data-owners, standing in as security"));
}
