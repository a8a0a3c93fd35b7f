//! Decisions that were made before. Belongs to one policy and is gone with it, so that no change of
//! policy, data or configuration can meet an old decision.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::model::Effect;
use crate::model::Sha256;
use crate::model::Shadow;

/// What is decided, and what rules in shadow mode would have decided.
pub(super) type Answer = (Effect, Option<Arc<Shadow>>);

/// A bounded map from projections to answers, in shards so that cores do not wait for each other.
pub(super) struct Cache {
    shards: Vec<RwLock<HashMap<Sha256, Answer>>>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }

    pub(super) fn find(&self, key: &Sha256) -> Option<Answer> {
        self.shard(key)?.read().get(key).cloned()
    }

    pub(super) fn keep(&self, key: Sha256, answer: &Answer) {
        let Some(shard) = self.shard(&key) else { return };
        let mut shard = shard.write();
        // Beginning anew costs one evaluation for each key that is still in use, and needs no
        // record of which these are.
        if shard.len() >= ENTRIES_PER_SHARD {
            shard.clear();
        }
        shard.insert(key, answer.clone());
    }

    /// The key is a hash, so any byte of it spreads evenly.
    fn shard(&self, key: &Sha256) -> Option<&RwLock<HashMap<Sha256, Answer>>> {
        self.shards.get(usize::from(key.as_bytes()[0]) % SHARDS)
    }
}

const SHARDS: usize = 64;

/// 65,536 decisions altogether, some 20 MiB if all differ.
const ENTRIES_PER_SHARD: usize = 1_024;
