//! What a form sends: pairs of names and values, each name once.

use axum::extract::FromRequest;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use percent_encoding::percent_decode;

use crate::review::Admin;
use crate::review::body;
use crate::review::query;
use crate::review::refused::Code;
use crate::review::refused::Refused;

use super::guard;
use super::page;

/// The fields of a form that one of our own pages has sent.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The value of the field `name`; empty if there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// The same with line ends as everywhere but in forms; `None` if it says nothing.
    pub(super) fn words(&self, name: &str) -> Option<String> {
        let text = self.text(name).replace("\r\n", "\n");
        (!text.trim().is_empty()).then_some(text)
    }
}

impl FromRequest<Admin> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, admin: &Admin) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let refuse = |refused: Refused| page::problem(None, &refused).into_response();
        if !guard::is_ours(&parts.headers, &parts.uri) {
            let detail = "this was not sent by a page of this site, so it had no effect; open the approval here and \
                          decide on its own page";
            return Err(refuse(Refused::new(Code::CrossSite, detail)));
        }
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let detail = format!("the body has the media type `{}`, and is no form", query::short(kind));
            return Err(refuse(Refused::new(Code::UnsupportedMediaType, detail)));
        }
        let bytes = body::read(body, &admin.state.settings).await.map_err(refuse)?;
        parse(&bytes).map(Self).map_err(|detail| refuse(Refused::new(Code::BadRequest, detail)))
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let mut half = || decode(halves.next().unwrap_or_default());
        let (name, value) = (half()?, half()?);
        if fields.iter().any(|(field, _)| *field == name) {
            return Err(format!("the form has the field `{}` twice", query::short(&name)));
        }
        fields.push((name, value));
    }
    Ok(fields)
}

fn decode(bytes: &[u8]) -> Result<String, String> {
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let text = percent_decode(&spaced).decode_utf8().map_err(|_| "the form is not UTF-8".to_owned())?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_counts_once() {
        let form = Form(parse(b"verdict=approve&reason=two+words%0D%0Aand+%C3%BC&&empty").unwrap());
        assert_eq!((form.text("verdict"), form.text("empty"), form.text("none")), ("approve", "", ""));
        assert_eq!(form.words("reason").as_deref(), Some("two words\nand ü"));
        assert_eq!(form.words("empty"), None);
        assert!(parse(b"a=1&a=2").is_err());
        assert!(parse(b"a=%ff").is_err());
        assert_eq!(parse(b"").unwrap(), []);
    }
}
