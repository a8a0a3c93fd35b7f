//! The origin's side of a call, as policy knows it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

/// What policy and reviewers may know of an upstream. Its address and credential are not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// The configured name, such as `payments`.
    pub name: String,
    /// Such as `production`; empty where the operator named none.
    pub environment: String,
    /// The operator's labels, such as `data: customer`.
    pub labels: BTreeMap<String, String>,
}
