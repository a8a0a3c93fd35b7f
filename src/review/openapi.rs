//! The description of the API (OpenAPI 3.1).

use utoipa::Modify;
use utoipa::OpenApi;
use utoipa::openapi::security::Http;
use utoipa::openapi::security::HttpAuthScheme;
use utoipa::openapi::security::SecurityScheme;

use super::approvals;
use super::events;
use super::problem::Problem;
use super::router;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Holdpoint admin API",
        description = "Where reviewers decide over calls that wait for approval. Every error is a problem document (RFC 9457)."
    ),
    paths(
        approvals::list, approvals::show, approvals::decide, approvals::cancel, approvals::say,
        events::all, events::one, router::me,
    ),
    components(schemas(Problem)),
    security(("token" = [])),
    modifiers(&Token),
)]
struct Api;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("token", scheme);
    }
}

/// The description, as `/v1/openapi.json` answers it.
pub fn document() -> utoipa::openapi::OpenApi {
    Api::openapi()
}
