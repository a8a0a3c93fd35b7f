//! The `http` dialect: what the method says.

use ::http::Method;

use crate::model::Access;
use crate::model::Action;
use crate::model::ActionKind;
use crate::model::Actions;
use crate::model::HttpRequest;

/// One action such as `http:GET`, done to the path.
pub(super) fn classify(request: &HttpRequest) -> Actions {
    Actions::one(Action {
        name: format!("http:{}", request.method),
        kind: kind_of(&request.method),
        access: access_of(&request.method),
        resource: Some(request.path.clone()),
        irreversible: false,
        summary: None,
    })
}

/// A WebSocket handshake: what follows on the line cannot be told from it.
pub(super) fn websocket(request: &HttpRequest) -> Actions {
    Actions::one(Action {
        name: "http:WEBSOCKET".to_owned(),
        kind: ActionKind::Execute,
        access: Access::Write,
        resource: Some(request.path.clone()),
        irreversible: false,
        summary: None,
    })
}

/// The kind of action that a method stands for (RFC 9110 §9.3, RFC 5789).
pub(super) fn kind_of(method: &Method) -> ActionKind {
    match method.as_str() {
        _ if access_of(method) == Access::Read => ActionKind::Read,
        "POST" | "PUT" | "PATCH" => ActionKind::Write,
        "DELETE" => ActionKind::Delete,
        _ => ActionKind::Unknown,
    }
}

/// Read for the methods that are registered as safe (RFC 9110 §9.2.1), write for all others.
pub(super) fn access_of(method: &Method) -> Access {
    match method.as_str() {
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "QUERY" | "SEARCH" | "REPORT" | "PROPFIND" => Access::Read,
        _ => Access::Write,
    }
}

#[cfg(test)]
mod tests {
    use ::http::HeaderMap;

    use super::*;
    use crate::classify::Dialect;
    use crate::model::Body;

    fn action(method: &str, websocket: bool) -> String {
        let request = HttpRequest {
            method: method.parse().unwrap(),
            scheme: "https",
            authority: "a.example".into(),
            path: "/clusters/prod-1".into(),
            query: Some("a=b".into()),
            headers: HeaderMap::new(),
            body: Body::Absent,
            websocket,
        };
        let actions = Dialect::Http.classify(&request);
        let action = actions.first();
        assert_eq!(actions.as_slice().len(), 1);
        let resource = action.resource.as_deref().unwrap_or("-");
        format!("{} {} {} {resource}", action.name, action.kind.as_str(), action.access.as_str())
    }

    #[test]
    fn the_method_says_it_all() {
        for (method, expected) in [
            ("GET", "http:GET read read /clusters/prod-1"),
            ("HEAD", "http:HEAD read read /clusters/prod-1"),
            ("OPTIONS", "http:OPTIONS read read /clusters/prod-1"),
            ("QUERY", "http:QUERY read read /clusters/prod-1"),
            ("POST", "http:POST write write /clusters/prod-1"),
            ("PUT", "http:PUT write write /clusters/prod-1"),
            ("PATCH", "http:PATCH write write /clusters/prod-1"),
            ("DELETE", "http:DELETE delete write /clusters/prod-1"),
            ("MKCOL", "http:MKCOL unknown write /clusters/prod-1"),
            ("get", "http:get unknown write /clusters/prod-1"),
        ] {
            assert_eq!(action(method, false), expected);
        }
    }

    #[test]
    fn a_websocket_may_do_anything() {
        assert_eq!(action("GET", true), "http:WEBSOCKET execute write /clusters/prod-1");
    }
}
