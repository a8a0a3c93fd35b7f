//! From what somebody typed to one approval.

use serde_json::Value;

use crate::model::ApprovalId;
use crate::review::api::Detail;
use crate::review::api::Item;

use super::client::Client;
use super::client::encode;
use super::failure::Exit;
use super::failure::Failure;
use super::text;

/// Items in the server's own words, with those words understood.
pub(super) struct Listed {
    pub(super) raw: Vec<Value>,
    pub(super) items: Vec<Item>,
    /// Whether there are more.
    pub(super) more: bool,
}

/// At most `limit` approvals in one of `states` (`all` for every state), newest first.
pub(super) async fn list(client: &Client, states: &str, mine: bool, limit: usize) -> Result<Listed, Failure> {
    let mut query = format!("limit={}", limit.min(PAGE));
    if states != "all" {
        query.push_str(&format!("&state={}", encode(states)));
    }
    if mine {
        query.push_str("&mine=review");
    }
    let mut listed = Listed { raw: Vec::new(), items: Vec::new(), more: false };
    let mut after = String::new();
    loop {
        let mut page = client.get(&format!("/v1/approvals?{query}{after}")).await?;
        let next = page.get("next").and_then(Value::as_str).map(|next| format!("&after={}", encode(next)));
        let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) else {
            return Err(Failure::error("the server's answer has no `items`; is it another version?"));
        };
        for raw in items {
            if listed.items.len() == limit {
                listed.more = true;
                return Ok(listed);
            }
            listed.items.push(understand(&raw)?);
            listed.raw.push(raw);
        }
        match next {
            Some(next) => after = next,
            None => return Ok(listed),
        }
    }
}

/// The approval of this id, in the server's own words and understood.
pub(super) async fn get(client: &Client, id: &str) -> Result<(Value, Detail), Failure> {
    let raw = client.get(&format!("/v1/approvals/{}", encode(id))).await?;
    let detail = understand(&raw)?;
    Ok((raw, detail))
}

/// What an answer of the server says.
pub(in crate::cli) fn understand<T: serde::de::DeserializeOwned>(raw: &Value) -> Result<T, Failure> {
    T::deserialize(raw).map_err(|error| {
        Failure::error(format!("the server's answer is not understood ({error}); is it another version?"))
    })
}

/// The whole id that `typed` stands for: an id, or the beginning or end of one pending approval's.
pub(super) async fn resolve(client: &Client, typed: &str) -> Result<String, Failure> {
    if typed.parse::<ApprovalId>().is_ok() {
        return Ok(typed.to_owned());
    }
    let hex = typed.strip_prefix("apr_").unwrap_or(typed).to_ascii_lowercase();
    let shown = text::one_line(typed);
    if hex.len() < TYPED_MIN || hex.len() > 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!(
            "`{shown}` is no approval's id; give it whole, or at least {TYPED_MIN} hex digits of its beginning or end"
        )));
    }
    let pending = list(client, "pending", false, usize::MAX).await?;
    matching(&hex, pending.items.iter().map(|item| item.id.as_str())).map_err(|found| match found {
        0 => Failure::new(
            Exit::NotFound,
            format!("no pending approval's id begins or ends with `{shown}`; give the whole id of one that is settled"),
        ),
        found => Failure::usage(format!("`{shown}` is the beginning or end of {found} ids; give more of it")),
    })
}

/// The one of `ids` that begins or ends with `hex`; if not one, how many.
fn matching<'a>(hex: &str, ids: impl Iterator<Item = &'a str>) -> Result<String, usize> {
    let fits = |id: &&str| {
        let own = id.strip_prefix("apr_").unwrap_or(id);
        own.starts_with(hex) || own.ends_with(hex)
    };
    let found: Vec<&str> = ids.filter(fits).collect();
    match found.as_slice() {
        [one] => Ok((*one).to_owned()),
        found => Err(found.len()),
    }
}

/// What the server gives at most at once.
const PAGE: usize = 200;

/// Fewer digits are soon not unique.
const TYPED_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_by_its_beginning_or_end() {
        let ids = ["apr_0198c2f0aaaa7000800000000000abcd", "apr_0198c2f0bbbb7000800000000000abce"];
        let cases = [
            ("abcd", Ok(ids[0])),
            ("0198c2f0b", Ok(ids[1])),
            ("0198", Err(2)),
            ("ffff", Err(0)),
            ("0198c2f0bbbb7000800000000000abce", Ok(ids[1])),
        ];
        for (hex, expected) in cases {
            assert_eq!(matching(hex, ids.into_iter()), expected.map(str::to_owned), "{hex}");
        }
    }
}
