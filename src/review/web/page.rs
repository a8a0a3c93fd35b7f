//! What all pages have: a frame, and fields that bind the browser to it.

use askama::Template;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;

use crate::review::refused::Refused;

use super::assets::Places;
use super::guard::Visitor;
use super::inert::Inert;

/// Which of the places in the navigation a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Here {
    Pending,
    History,
    Overview,
    Rules,
    Agents,
    Nowhere,
}

/// What stands around every page.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Ours or the dialect's, never the agent's.
    pub(super) title: String,
    pub(super) here: Here,
    pub(super) who: Option<Inert>,
    pub(super) csrf: String,
    pub(super) places: Places,
    tls: bool,
}

impl Frame {
    pub(super) fn new(visitor: Option<&Visitor>, here: Here, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            here,
            who: visitor.map(|visitor| Inert::line(visitor.person.as_str())),
            csrf: visitor.map(|visitor| visitor.session.csrf.clone()).unwrap_or_default(),
            places: Places::new(),
            tls: visitor.is_some_and(|visitor| visitor.peer.tls),
        }
    }

    /// What `aria-current` says at a place of the navigation.
    pub(super) fn current(&self, here: Here) -> &'static str {
        if self.here == here { "page" } else { "false" }
    }
}

/// Marks an answer that says for itself how it may be kept and what it may load.
#[derive(Clone, Copy, Debug)]
pub(in crate::review) struct OwnFields;

/// The answer that a page is.
pub(super) fn render(status: StatusCode, frame: &Frame, page: &impl Template) -> Response {
    let html = match page.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "a page cannot be written");
            return (StatusCode::INTERNAL_SERVER_ERROR, "this page cannot be written; the log says more")
                .into_response();
        }
    };
    let mut response = (status, html).into_response();
    response.extensions_mut().insert(OwnFields);
    let headers = response.headers_mut();
    for (name, value) in FIELDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if frame.tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Problem {
    frame: Frame,
    heading: &'static str,
    detail: Inert,
}

/// The page that says why there is no other.
pub(in crate::review) fn problem(visitor: Option<&Visitor>, refused: &Refused) -> Response {
    let frame = Frame::new(visitor, Here::Nowhere, refused.code().title());
    let page =
        Problem { heading: refused.code().title(), detail: Inert::lines(refused.detail()), frame: frame.clone() };
    render(refused.code().status(), &frame, &page)
}

/// EDGES D. Scripts and styles are files of ours, nothing else is loaded from anywhere, forms go
/// nowhere else, nobody frames the page, and no string becomes markup in the browser. The referrer
/// stays on this site, where forms are told from others' by the origin that goes with it.
const FIELDS: [(HeaderName, &str); 4] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (header::REFERRER_POLICY, "same-origin"),
];
