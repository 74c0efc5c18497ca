use std::cell::Cell;
use std::rc::Rc;

use mlua::{Lua, MultiValue, Value};
use proptest::prelude::*;

use super::*;
use crate::budget::Budget;

fn unbounded() -> Result<(), &'static str> {
    Ok(())
}

#[track_caller]
fn check(subject: &str, pattern: &str, expected: Option<(usize, usize)>) {
    let found = find(
        subject.as_bytes(),
        pattern.as_bytes(),
        0,
        Reading::Anchored,
        (1000, &unbounded),
    );
    let found = found.map(|found| found.map(|found| (found.start, found.end)));
    assert_eq!(found, Ok(expected), "{subject} {pattern}");
}

#[test]
fn patterns_match_as_in_lua() {
    check("hello world", "o w", Some((4, 7)));
    check("hello", "l+", Some((2, 4)));
    check("hello", "^l", None);
    check("key = value", "^(%w+)%s*=%s*(%w+)$", Some((0, 11)));
    check("f(a(b)c)d", "%b()", Some((1, 8)));
    check("THE (quick) fox", "%f[%a]%a+%f[%A]", Some((0, 3)));
    check("abcabc", "(abc)%1", Some((0, 6)));
    check("a]b", "[]]", Some((1, 2)));
    check("a-b", "[a%-]+", Some((0, 2)));
    check("b", "[^a-c]", None);
    check("", ".-", Some((0, 0)));
}

#[test]
fn a_search_ends_when_it_may_not_go_on() {
    let asked = Cell::new(0);
    let spend = || {
        asked.set(asked.get() + 1);
        if asked.get() > 100 {
            return Err("enough");
        }
        Ok(())
    };
    let subject = "a".repeat(5_000);
    for pattern in [
        "^a-a-a-a-b",
        ".*.*.*=",
        "(.-)(.-)%2=",
        "%b==%b==",
        &"a?".repeat(150),
    ] {
        asked.set(0);
        let pattern = format!("{pattern}x");
        let found = find(
            subject.as_bytes(),
            pattern.as_bytes(),
            0,
            Reading::Anchored,
            (1000, &spend),
        );
        if pattern.starts_with("%b") {
            assert_eq!(found, Ok(None));
        } else {
            assert_eq!(found, Err(Stop::Spent("enough")), "{pattern}");
        }
        assert!(asked.get() <= 101);
    }
}

/// A machine whose `string` is LuaJIT's own, and one whose functions are ours.
fn machines() -> (Lua, Lua) {
    let (theirs, ours) = (Lua::new(), Lua::new());
    let budget = Rc::new(Budget::default());
    budget.renew();
    let (native, _) = crate::native::install(&ours, &budget).expect("the functions");
    let strings = ours.load(include_str!("../prelude/strings.lua"));
    strings.call::<()>(native).expect("the strings");
    (theirs, ours)
}

/// What code says in a machine, or the words of its error without its place.
fn said(lua: &Lua, code: &str) -> Result<Vec<String>, String> {
    let values = lua.load(code).call::<MultiValue>(());
    let show = |value: &Value| match value {
        Value::String(text) => format!("{:?}", &*text.as_bytes()),
        other => format!("{other:?}"),
    };
    match values {
        Ok(values) => Ok(values.iter().map(show).collect()),
        Err(error) => {
            let error = error.to_string();
            let line = error.lines().next().unwrap_or_default();
            Err(line.rsplit(": ").next().unwrap_or_default().to_owned())
        }
    }
}

/// LuaJIT notices a capture without an end only when it is used; here it is refused always.
#[track_caller]
fn same(machines: &(Lua, Lua), code: &str) {
    let ours = said(&machines.1, code);
    if ours != Err("unfinished capture".to_owned()) {
        assert_eq!(ours, said(&machines.0, code), "{code}");
    }
}

#[test]
fn wrong_arguments_are_named() {
    let (_, ours) = machines();
    for (code, reason) in [
        (
            "return ('abc'):gsub('b')",
            "bad argument #3 to 'gsub' (string/function/table expected, got no value)",
        ),
        (
            "return string.match({}, 'b')",
            "bad argument #1 to 'match' (string expected, got table)",
        ),
        (
            "return ('abc'):find('b', 'x')",
            "bad argument #3 to 'find' (number expected, got string)",
        ),
    ] {
        assert_eq!(said(&ours, code), Err(reason.to_owned()));
    }
}

#[test]
fn the_functions_of_string_say_what_those_of_luajit_say() {
    let machines = machines();
    for code in [
        "return ('abc'):find('b', 1, true)",
        "return ('a.c'):find('.', 2, true)",
        "return ('abc'):find('b', -1)",
        "return ('abc'):find('', 10)",
        "return ('abc'):find('', -10)",
        "return ('abc'):find('()b()')",
        "return ('abc'):match('(a)(.)')",
        "return ('abc'):match('x')",
        "return (123):rep(2), string.find(12345, 34)",
        "return string.match('  trim  ', '^%s*(.-)%s*$')",
        "return ('abc'):gsub('%w', '%0%0')",
        "return ('abc'):gsub('', '-')",
        "return ('hello world'):gsub('o', '0', 1)",
        "return ('hello'):gsub('l', { l = 'L' })",
        "return ('hello'):gsub('(h)(e)', function(a, b) return b .. a end)",
        "return ('hello'):gsub('.', function() return false end)",
        "return ('abc'):gsub('^a', 'x')",
        "return ('abc'):gsub('b', '%%')",
        "return ('abc'):gsub('b', '%1')",
        "return ('abc'):gsub('b', '%2')",
        "return ('abc'):gsub('b', 5)",
        "return ('abc'):gsub('b', 'x', 0)",
        "return ('abc'):gsub('b', function() return {} end)",
        "return ('abc'):find('[a')",
        "return ('abc'):find('a%')",
        "return ('abc'):find('(a')",
        "return ('abc'):find('a)')",
        "return ('abc'):find('%b')",
        "return ('abc'):find('%fa')",
        "return ('abc'):find('%1')",
        "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v end return unpack(t)",
        "local t = {} for k in ('abc'):gmatch('') do t[#t + 1] = k end return #t",
        "local t = {} for k in ('a^b'):gmatch('^b') do t[#t + 1] = k end return unpack(t)",
    ] {
        same(&machines, code);
    }
}

proptest! {
    #[test]
    fn whatever_the_pattern_luajit_finds_the_same(
        subject in "[ab1 ()\\]%-]{0,12}",
        parts in proptest::collection::vec(
            prop_oneof![
                "[ab1.]", "%[adswxADSW()\\]%]", "\\[[ab1-]{1,3}\\]", "\\[\\^[ab%]{1,3}\\]",
                Just("(".to_owned()), Just(")".to_owned()), Just("()".to_owned()), Just("%b()".to_owned()),
                Just("%f[%a]".to_owned()), Just("%1".to_owned()), Just("^".to_owned()), Just("$".to_owned()),
                "[ab.][*+?-]", "\\[ab\\][*+?-]", Just("%".to_owned()),
            ],
            0..6,
        ),
        replacement in "[ab%012]{0,3}[ab]",
        init in -4..14,
    ) {
        let machines = machines();
        let pattern = parts.concat();
        let code = |call: &str| format!(
            "local s, p, r, i = {subject:?}, {pattern:?}, {replacement:?}, {init} {call}"
        );
        for call in [
            "return s:find(p, i)",
            "return s:match(p, i)",
            "return s:gsub(p, r)",
            "return s:gsub(p, r, i)",
            "local t = {} for a, b in s:gmatch(p) do t[#t + 1] = a t[#t + 1] = b end return unpack(t)",
        ] {
            same(&machines, &code(call));
        }
    }
}
