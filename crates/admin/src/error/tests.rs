use http::header::RETRY_AFTER;

use super::*;

#[tokio::test]
async fn a_store_that_cannot_answer_now_is_a_503_that_says_what_is_wrong() {
    let reason = || "secret of the server".to_owned();
    for (error, message) in [
        (
            store::Error::Unavailable(reason()),
            "The database is out of reach or fails, try again later",
        ),
        (
            store::Error::Full(reason()),
            "The database has no room left, try again later",
        ),
        (
            store::Error::Unprepared(reason()),
            "The database lacks a table, try again later",
        ),
    ] {
        let error = Error::Repository(repository::Error::Store(error));
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(RETRY_AFTER));
        let body = axum::body::to_bytes(response.into_body(), 1000).await;
        let body: Value = serde_json::from_slice(&body.expect("short")).expect("JSON");
        assert_eq!(body, json!({ "message": message }));
    }
}
