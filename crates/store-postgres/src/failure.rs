//! What a failure of the database means: whose fault, whether the connection is of use, whether trying again may help.

use store::Error;

/// A failure with what to do about it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The answer to the caller; the connection is fine.
    Final(Error),
    /// The connection is of no more use, and what became of the work is not known.
    Broken(Error),
    /// The connection is of no more use; nothing was done, and on another connection it may succeed.
    Stale(Error),
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Final(error) | Self::Broken(error) | Self::Stale(error) => error,
        }
    }

    /// The same failure where trying again might do the work twice.
    pub(crate) fn in_doubt(self) -> Self {
        match self {
            Self::Stale(error) => Self::Broken(error),
            other => other,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = describe(&error);
        let Some(code) = error.code() else {
            // Values are converted before they reach the driver, so what is left is the connection.
            return Self::Stale(Error::Unavailable(text));
        };
        match code.code() {
            // Somebody else was first, the tables changed under a prepared statement, a proxy lost it.
            "40001" | "40P01" | "0A000" | "26000" => Self::Stale(Error::Unavailable(text)),
            // A statement that took too long, a lock that was not to be had.
            "57014" | "55P03" => Self::Broken(Error::Unavailable(text)),
            "53100" => Self::Final(Error::Full(text)),
            "42P01" | "3F000" => Self::Final(Error::Unprepared(text)),
            // Connections, resources, operators, a database that is gone, a server that takes no writes (any more).
            code if ["08", "25", "28", "3D", "53", "57", "58"].contains(&&code[..2]) => {
                Self::Stale(Error::Unavailable(text))
            }
            "23502" => {
                let column = error.as_db_error().and_then(|cause| cause.column());
                Self::Final(Error::Null {
                    field: column.unwrap_or_default().to_owned(),
                })
            }
            "54000" => Self::Final(Error::TooLong(text)),
            _ => Self::Final(Error::Database(text)),
        }
    }
}

impl From<deadpool_postgres::PoolError> for Failure {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        use deadpool_postgres::{HookError, PoolError};
        let text = match &error {
            PoolError::Backend(cause) | PoolError::PostCreateHook(HookError::Backend(cause)) => {
                describe(cause)
            }
            other => other.to_string(),
        };
        Self::Broken(Error::Unavailable(text))
    }
}

/// The driver's error with its cause, which it does not print by itself.
fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(cause), _) => format!("{} ({})", cause.message(), cause.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

/// The driver's error where nothing is tried again.
pub(crate) fn database_error(error: tokio_postgres::Error) -> Error {
    Failure::from(error).into_error()
}
