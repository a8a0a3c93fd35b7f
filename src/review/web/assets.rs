//! The style sheet, the script and the icon: part of the program, and kept by browsers for good,
//! since their address changes with them.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;

use crate::model::Sha256;

use super::page::OwnFields;

const STYLE: &str = include_str!("assets/app.css");
const SCRIPT: &str = include_str!("assets/app.js");
const ICON: &str = include_str!("assets/icon.svg");

static STYLE_PLACE: LazyLock<String> = LazyLock::new(|| place("app.css", STYLE));
static SCRIPT_PLACE: LazyLock<String> = LazyLock::new(|| place("app.js", SCRIPT));
static ICON_PLACE: LazyLock<String> = LazyLock::new(|| place("icon.svg", ICON));

/// Where a page finds them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    pub(super) icon: &'static str,
}

impl Places {
    pub(super) fn new() -> Self {
        Self { style: &STYLE_PLACE, script: &SCRIPT_PLACE, icon: &ICON_PLACE }
    }
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

pub(super) async fn icon() -> Response {
    asset("image/svg+xml", ICON)
}

fn place(name: &str, text: &str) -> String {
    format!("/assets/{name}?{}", Sha256::of(text.as_bytes()).short())
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let mut response = text.into_response();
    response.extensions_mut().insert(OwnFields);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}
