//! Short texts that outlive the process.

use std::sync::Arc;

use crate::approval::fixtures::at;
use crate::approval::store::Kept;
use crate::approval::store::Shelf;

use super::Bench;

pub(in crate::approval) async fn a_kept_text_is_there_until_its_time_is_over(bench: Bench) {
    let store = Arc::clone(&bench.store);
    let kept = |shelf, name: &str, until, text: &str| Kept {
        shelf,
        name: name.to_owned(),
        until: at(until),
        text: text.to_owned(),
    };
    let [first, second] = [kept(Shelf::Accounts, "a", 20, "1"), kept(Shelf::Accounts, "b", 30, "2")];
    store.keep(second.clone(), at(10)).await.unwrap();
    store.keep(first.clone(), at(10)).await.unwrap();
    store.keep(kept(Shelf::Sessions, "a", 20, "3"), at(10)).await.unwrap();
    assert_eq!(store.kept(Shelf::Accounts, at(19)).await.unwrap(), [first, second.clone()]);
    assert_eq!(store.kept(Shelf::Accounts, at(20)).await.unwrap(), [second]);
    let another = kept(Shelf::Accounts, "b", 40, "4");
    store.keep(another.clone(), at(25)).await.unwrap();
    assert_eq!(store.kept(Shelf::Accounts, at(0)).await.unwrap(), [another]);
    store.drop_kept(Shelf::Accounts, "b".to_owned()).await.unwrap();
    store.drop_kept(Shelf::Accounts, "b".to_owned()).await.unwrap();
    assert_eq!(store.kept(Shelf::Accounts, at(0)).await.unwrap(), []);
}
