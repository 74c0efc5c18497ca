use super::*;

#[test]
fn a_file_that_may_not_grow_is_full_and_not_out_of_reach() {
    let connection = Connection::open_in_memory().expect("memory");
    connection
        .execute_batch("PRAGMA max_page_count = 2; CREATE TABLE things (value)")
        .expect("room for that");
    let written = connection.execute("INSERT INTO things VALUES (zeroblob(100000))", []);
    let error = database_error(written.expect_err("no room"));
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    assert!(error.is_outage());
}
