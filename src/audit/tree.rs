//! Merkle tree hashing (RFC 6962 §2.1) and the right edge of a tree that only grows.

use crate::model::Sha256;

/// What a leaf's bytes are preceded by when hashed.
pub(super) const LEAF_PREFIX: u8 = 0;
const NODE_PREFIX: u8 = 1;

/// The hash of a leaf.
pub(super) fn leaf_hash(entry: &[u8]) -> Sha256 {
    let mut bytes = Vec::with_capacity(1 + entry.len());
    bytes.push(LEAF_PREFIX);
    bytes.extend_from_slice(entry);
    Sha256::of(&bytes)
}

/// The hash over two subtrees.
pub(super) fn node_hash(left: &Sha256, right: &Sha256) -> Sha256 {
    let mut bytes = [NODE_PREFIX; 65];
    let (_, both) = bytes.split_at_mut(1);
    let (first, second) = both.split_at_mut(32);
    first.copy_from_slice(left.as_bytes());
    second.copy_from_slice(right.as_bytes());
    Sha256::of(&bytes)
}

/// The right edge of a tree: enough to add leaves and to know the root, whatever its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frontier {
    size: u64,
    peaks: Vec<Sha256>, // Invariant: one full subtree for each bit set in `size`, largest first.
}

impl Frontier {
    /// The right edge of a tree of `size` leaves. `subtree(height, index)` is the hash of the
    /// `index`th full subtree of 2^`height` leaves.
    pub(super) fn load<E>(size: u64, mut subtree: impl FnMut(u8, u64) -> Result<Sha256, E>) -> Result<Self, E> {
        let heights = (0..64_u8).rev().filter(|height| size >> height & 1 == 1);
        let peaks = heights.map(|height| subtree(height, (size >> height) - 1)).collect::<Result<_, E>>()?;
        Ok(Self { size, peaks })
    }

    /// How many leaves the tree has.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf. `complete(height, index, hash)` is told each full subtree that this makes, the
    /// leaf itself first.
    pub(super) fn push(&mut self, leaf: Sha256, mut complete: impl FnMut(u8, u64, Sha256)) {
        let mut hash = leaf;
        let mut index = self.size;
        let mut height = 0;
        complete(height, index, hash);
        while index & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            index >>= 1;
            height += 1;
            complete(height, index, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root hash; that of no leaves is the hash of nothing.
    pub(super) fn root(&self) -> Sha256 {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
            None => Sha256::of(b""),
        }
    }
}

/// The root over full subtrees that stand side by side; their count must be a power of two.
pub(super) fn fold(hashes: impl IntoIterator<Item = Sha256>) -> Sha256 {
    let mut frontier = Frontier::default();
    hashes.into_iter().for_each(|hash| frontier.push(hash, |_, _, _| {}));
    frontier.root()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6962 §2.1, word for word.
    fn root(hashes: &[Sha256]) -> Sha256 {
        match hashes {
            [] => Sha256::of(b""),
            [one] => *one,
            many => {
                let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
                node_hash(&root(left), &root(right))
            }
        }
    }

    #[test]
    fn the_roots_are_those_of_certificate_transparency() {
        // The reference vectors of the Certificate Transparency project.
        let leaves = [
            &b""[..],
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root().to_hex(), roots[0]);
        for (leaf, expected) in leaves.into_iter().zip(&roots[1..]) {
            frontier.push(leaf_hash(leaf), |_, _, _| {});
            assert_eq!(frontier.root().to_hex(), *expected, "size {}", frontier.size());
        }
    }

    proptest! {
        #[test]
        fn the_frontier_agrees_with_the_definition(size in 0_usize..600) {
            let hashes: Vec<Sha256> = (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect();
            let mut frontier = Frontier::default();
            let mut subtrees = std::collections::HashMap::new();
            for &hash in &hashes {
                frontier.push(hash, |height, index, hash| {
                    subtrees.insert((height, index), hash);
                });
            }
            prop_assert_eq!(frontier.root(), root(&hashes));
            let loaded = Frontier::load(frontier.size(), |height, index| subtrees.get(&(height, index)).copied().ok_or(()));
            prop_assert_eq!(loaded, Ok(frontier));
        }
    }
}
