//! The WebSocket handshake, which is the only upgrade that passes (RFC 6455 §4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Version;
use http::header::CONNECTION;
use http::header::UPGRADE;

use super::error::WireError;

/// The fields that make a handshake.
#[derive(Default)]
pub(super) struct Handshake<'a> {
    pub(super) upgrade: Option<&'a HeaderValue>,
    pub(super) connection_upgrade: bool,
    pub(super) key: Option<&'a HeaderValue>,
    pub(super) version: Option<&'a HeaderValue>,
}

impl Handshake<'_> {
    /// Whether the request asks for a WebSocket. Any other upgrade is as if it were not there.
    ///
    /// # Errors
    /// [`WireError::WebSocket`] if it asks for one and the handshake does not hold together.
    pub(super) fn is_websocket(
        &self,
        method: &Method,
        version: Version,
        expects_body: bool,
    ) -> Result<bool, WireError> {
        let Some(upgrade) = self.upgrade else { return Ok(false) };
        let mut protocols = upgrade.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        if !protocols.any(|protocol| protocol.eq_ignore_ascii_case(b"websocket")) {
            return Ok(false);
        }
        if upgrade.as_bytes().contains(&b',') {
            return Err(WireError::WebSocket("`Upgrade` names other protocols too; send `websocket` alone"));
        }
        if version != Version::HTTP_11 || method != Method::GET {
            return Err(WireError::WebSocket("it must be a GET over HTTP/1.1"));
        }
        if !self.connection_upgrade {
            return Err(WireError::WebSocket("`Connection` must name `upgrade`"));
        }
        if self.version.is_none_or(|version| version.as_bytes() != b"13") {
            return Err(WireError::WebSocket("`Sec-WebSocket-Version` must be `13`"));
        }
        if !self.key.is_some_and(|key| is_key(key.as_bytes())) {
            return Err(WireError::WebSocket("`Sec-WebSocket-Key` must be 16 bytes in base64"));
        }
        if expects_body {
            return Err(WireError::WebSocket("it must have no body"));
        }
        Ok(true)
    }
}

fn is_key(text: &[u8]) -> bool {
    let mut key = [0; 18];
    text.len() == 24 && matches!(STANDARD.decode_slice(text, &mut key), Ok(16))
}

/// Asks the next server for a WebSocket, or tells the client that it has one: writes the two
/// fields that [`super::keep_end_to_end`] and [`super::keep_end_to_end_response`] drop.
pub fn write_websocket_upgrade(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}
