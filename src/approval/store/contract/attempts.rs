//! Which record an attempt at a call belongs to, as far as stores have to find it.

use super::*;

pub(in crate::approval) async fn an_attempt_finds_the_call_it_belongs_to_by_its_id(bench: Bench) {
    let attempt = |name: &str, id: &str, now: i64| {
        bench.seeking(name, |sought| {
            sought.attempt.of = Some(id.to_owned());
            sought.now = at(now);
        })
    };
    let first = bench.store.open(attempt("export", "one", 10)).await.unwrap();
    assert_eq!(first.how, How::New);
    // Another id is another call; the same id takes the place of the attempt before it.
    let other = bench.store.open(attempt("export", "two", 10)).await.unwrap();
    assert_eq!((other.how, other.approval.id == first.approval.id), (How::New, false));
    let again = attempt("export", "one", 11);
    let caller = again.step.approval.caller;
    let again = bench.store.open(again).await.unwrap();
    assert_eq!((again.how, again.approval.id, again.approval.caller), (How::Joined, first.approval.id, caller));
    let kinds = bench.kinds(first.approval.id).await;
    assert_eq!(kinds[1..], ["approval.caller_left", "approval.caller_joined"]);
    // An id is a claim: with another call it means nothing, and from then on that other call.
    let moved = bench.store.open(attempt("import", "one", 12)).await.unwrap();
    assert_eq!(moved.how, How::New);
    // Whoever joins under another id can be found by that one too.
    bench.leave(&again.approval).await;
    let joined = bench.store.open(attempt("export", "three", 13)).await.unwrap();
    assert_eq!((joined.how, joined.approval.id), (How::Joined, first.approval.id));
    bench.change(joined.approval.id, bench.review(&joined.approval, "ana", ReviewVerdict::Deny)).await.unwrap();
    let seq = bench.store.last_seq().await.unwrap();
    let denied = bench.store.open(attempt("export", "three", 5_000)).await.unwrap();
    assert_eq!((denied.how, denied.approval.id, denied.seq), (How::Repeated, first.approval.id, 0));
    assert_eq!(bench.store.last_seq().await.unwrap(), seq, "a repetition changes nothing");
    // A day later the id is forgotten.
    assert_eq!(bench.store.open(attempt("export", "three", 13 + 86_401)).await.unwrap().how, How::New);
    // Another principal's ids are its own.
    let mut stolen = bench.opening("other-bot", "export");
    stolen.sought.attempt.of = Some("two".to_owned());
    assert_eq!(bench.store.open(stolen).await.unwrap().how, How::New);
}

pub(in crate::approval) async fn what_has_ended_is_found_for_a_while(bench: Bench) {
    let first = bench.open("deploy-bot", "export").await;
    bench.change(first.id, bench.review(&first, "ana", ReviewVerdict::Deny)).await.unwrap();
    let at_second = |second| bench.seeking("export", move |sought| sought.now = at(second));
    let denied = bench.store.open(at_second(69)).await.unwrap();
    assert_eq!((denied.how, denied.approval.id), (How::Repeated, first.id));
    assert_eq!(bench.store.open(bench.opening("deploy-bot", "import")).await.unwrap().how, How::New);
    assert_eq!(bench.store.open(at_second(70)).await.unwrap().how, How::New);
    // By its name it is found for ever.
    let named = bench.seeking("export", |sought| (sought.named, sought.now) = (Some(first.id), at(90_000)));
    assert_eq!(bench.store.open(named).await.unwrap().how, How::Repeated);
}
