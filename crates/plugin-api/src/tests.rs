use http1::{Framing, Method, RequestHead, ResponseHead};

use crate::{Exchange, HeaderEdit, HeaderValue, Known, Matched, Needs, Phase, Phases, Work};

#[derive(Default)]
struct Count(u32);

#[test]
fn each_handler_of_a_chain_has_a_state_of_its_own() {
    let mut work = Work::default();
    work.enter(0);
    work.state::<Count>().0 = 7;
    work.enter(1);
    assert_eq!(work.state::<Count>().0, 0);
    work.state::<Count>().0 = 9;
    work.enter(0);
    assert_eq!(work.state::<Count>().0, 7);
}

#[test]
fn a_set_of_phases_holds_what_it_was_made_of() {
    let set = Phases::of(&[Phase::Access, Phase::Log]);
    let held: Vec<_> = Phase::ALL
        .into_iter()
        .filter(|p| set.contains(*p))
        .collect();
    assert_eq!(held, [Phase::Access, Phase::Log]);
    assert!(Phases::default().is_empty());
    let both = Needs::phases(&[Phase::Log]).union(Needs {
        request_body: true,
        ..Needs::phases(&[Phase::Rewrite])
    });
    assert!(both.request_body && !both.changes_length);
    assert_eq!(both.phases, Phases::of(&[Phase::Rewrite, Phase::Log]));
}

#[test]
fn the_query_of_a_target_can_be_replaced_and_removed() {
    let mut head = RequestHead::new(Method::Get, b"/a?x=1", Framing::None).expect("a head");
    let mut target = b"/base/a?x=1".to_vec();
    let mut work = Work::default();
    let mut exchange = Exchange {
        head: &mut head,
        target: &mut target,
        connection: crate::testing::connection(),
        matched: Matched::default(),
        from_upstream: false,
        work: &mut work,
    };
    assert_eq!(exchange.query(), b"x=1");
    exchange.set_query(b"y=2&z=3");
    assert_eq!(exchange.target.as_slice(), b"/base/a?y=2&z=3");
    exchange.set_query(b"");
    assert_eq!(exchange.target.as_slice(), b"/base/a");
    assert_eq!(exchange.query(), b"");
}

#[test]
fn early_edits_of_an_answer_are_made_in_their_order() {
    let mut head = ResponseHead::new(200, Framing::None);
    head.headers.append("X-Old", "1").expect("a header");
    let edits = [
        HeaderEdit::Set("X-Old".into(), b"2".to_vec()),
        HeaderEdit::Append("X-New".into(), b"a".to_vec()),
        HeaderEdit::Append("X-New".into(), b"b".to_vec()),
        HeaderEdit::Remove("X-Old".into()),
        HeaderEdit::SetKnown(Known::Vary, b"a"[..].into()),
        HeaderEdit::SetKnown(Known::Vary, 7.into()),
    ];
    for edit in &edits {
        edit.apply(&mut head).expect("an edit");
    }
    assert!(!head.headers.contains("X-Old"));
    let new: Vec<_> = head.headers.get_all("X-New").collect();
    assert_eq!(new, [&b"a"[..], b"b"]);
    assert_eq!(
        head.headers.get_all(&Known::Vary).collect::<Vec<_>>(),
        [b"7"]
    );
    let value = b"a\r\nSet-Cookie: b";
    for forged in [
        HeaderEdit::Set("X-New".into(), value.to_vec()),
        HeaderEdit::SetKnown(Known::Vary, value[..].into()),
        HeaderEdit::SetKnown(Known::Other, 1.into()),
    ] {
        assert!(forged.apply(&mut head).is_err());
    }
}

#[test]
fn a_value_of_a_header_is_what_it_was_made_of() {
    for number in [0, 9, 10, 1234, u64::MAX] {
        assert_eq!(*HeaderValue::from(number), *number.to_string().as_bytes());
    }
    for length in [0, 1, 21, 22, 23, 300] {
        let text = vec![b'x'; length];
        assert_eq!(*HeaderValue::from(&text[..]), *text);
    }
}

#[test]
fn shared_state_is_one_per_type_and_name_until_nobody_holds_it() {
    let shared = crate::Shared::default();
    let first = shared.get("a", || 1_u32);
    assert_eq!(*shared.get("a", || 2_u32), 1, "it is made once");
    assert_eq!(*shared.get("b", || 3_u32), 3);
    assert_eq!(
        *shared.get("a", || 4_u64),
        4,
        "another type is another state"
    );
    shared.sweep::<u32>();
    assert_eq!(*shared.get("a", || 5_u32), 1, "somebody holds it");
    drop(first);
    shared.sweep::<u32>();
    assert_eq!(*shared.get("a", || 6_u32), 6);
}

#[test]
fn making_a_shared_state_may_ask_for_another() {
    let shared = crate::Shared::default();
    let outer = shared.get("outer", || *shared.get("inner", || 1_u32) + 1);
    assert_eq!((*outer, *shared.get("inner", || 9_u32)), (2, 1));
}
