use std::collections::BTreeSet;

use super::*;

#[test]
fn each_fault_has_a_name_of_its_own() {
    let names: BTreeSet<_> = ALL.iter().map(|fault| fault.name).collect();
    assert_eq!(names.len(), ALL.len());
}

#[test]
fn the_quick_drill_needs_no_rights_and_lets_no_request_fail() {
    for fault in ALL.iter().filter(|fault| fault.quick) {
        assert_eq!(fault.needs, Needs::Nothing, "{}", fault.name);
        assert_eq!(fault.may_fail, MayFail::None, "{}", fault.name);
    }
}
