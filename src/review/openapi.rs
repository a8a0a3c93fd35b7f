//! The API, described by itself (OpenAPI 3.1).

use utoipa::Modify;
use utoipa::OpenApi;
use utoipa::openapi::security::HttpAuthScheme;
use utoipa::openapi::security::HttpBuilder;
use utoipa::openapi::security::SecurityScheme;

use super::api;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Holdpoint admin API",
        description = "Where people review the calls of AI agents. Every error is a problem document (RFC 9457) whose \
                       `code` comes from a closed set. Texts written by agents are marked as such and verified by nobody.",
        version = "1",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/")),
    paths(
        super::list::list,
        super::show::show,
        super::download::download,
        super::decide::decide,
        super::decide::cancel,
        super::decide::answer,
        super::events::all,
        super::events::of_one,
        super::system::me,
        super::sign_in::device::begin,
        super::sign_in::device::session,
        super::sign_in::device::leave,
        super::system::openapi,
        super::proof::proof,
        super::system::checkpoint,
        super::system::metrics,
        super::system::livez,
        super::system::readyz,
    ),
    components(schemas(api::Problem, api::EventView)),
    modifiers(&Token),
    tags(
        (name = "approvals", description = "Held calls, and what people say about them."),
        (name = "events", description = "What happens, as it happens."),
        (name = "people", description = "Who reviews."),
        (name = "audit", description = "The tamper-evident record."),
        (name = "system", description = "For machines."),
    )
)]
struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("hp_pat_…")
            .description(Some("A reviewer's own token, made by `holdpoint tokens create`, or that of a session, which `holdpoint login` gets. Agents' keys are refused."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The description of the API.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The same as JSON, one line a field.
pub(super) fn json() -> String {
    let mut json = document().to_pretty_json().expect("the document is made of strings");
    json.push('\n');
    json
}
