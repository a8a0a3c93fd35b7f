//! The web inbox: pages on the admin listener, written by this process and whole without any script.
//!
//! Owns sessions and forms, and how an approval looks to a person who has ten seconds and a phone.
//! Owns no rule: what a form says goes to the functions that the API uses (`review::decide`). All
//! text that is not the pages' own goes through [`inert`]. Start at [`routes`].

use axum::Router;
use axum::routing::get;
use axum::routing::post;

use super::Admin;

mod agents;
mod answer;
mod assets;
mod attempts;
mod compare;
mod decision;
mod effect;
mod form;
mod guard;
mod inbox;
mod inert;
mod long_body;
mod moment;
mod overview;
mod page;
mod past;
mod plot;
mod request;
mod row;
mod sign_in;
mod timeline;

pub(super) use attempts::Attempts;
pub(super) use guard::cookie;
pub(super) use guard::place_here;
pub(super) use guard::session;
pub(super) use guard::set_cookie;
pub(super) use page::OwnFields;
pub(super) use page::problem;
pub(super) use past::Pasts;

pub use guard::Peer;

/// The pages.
pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/", get(inbox::pending))
        .route("/history", get(inbox::history))
        .route("/overview", get(overview::show))
        .route("/rules", get(overview::rules))
        .route("/agents", get(agents::show))
        .route("/a/{id}", get(decision::show).post(answer::decide))
        .route("/a/{id}/body/{number}", get(long_body::show))
        .route("/sign-in", get(sign_in::ask).post(sign_in::answer))
        .route("/sign-out", post(sign_in::leave))
        .route("/assets/app.css", get(assets::style))
        .route("/assets/app.js", get(assets::script))
        .route("/assets/icon.svg", get(assets::icon))
}
