//! What needs no model checker. `late.rs` cannot have it: that file is the checker's too.

use karere_core::Text;

use super::late::Late;

#[test]
fn a_ticket_is_due_when_all_before_it_are_gone_in_whatever_order_and_nobody_is_remembered() {
    let (late, client_id) = (Late::default(), Text::new("a").unwrap());
    assert!(late.behind(&client_id).is_none());
    let [first, second, third] = std::array::from_fn(|_| late.ticket(&client_id));
    assert!(late.ticket(&Text::new("b").unwrap()).is_due(), "another client's order is its own");
    let last = late.behind(&client_id).unwrap();
    drop(second);
    assert!(first.is_due() && !third.is_due() && !last.is_due());
    drop(first);
    assert!(third.is_due() && !last.is_due());
    drop(third);
    assert!(last.is_due());
    drop(last);
    assert!(late.behind(&client_id).is_none());
}
