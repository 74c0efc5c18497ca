//! Runs the functions of the record, before the other plugins have their turns.

use std::sync::Arc;

use plugin_api::{Configured, Failure, Handler, Services};

use super::DECLARATION;
use crate::functions;

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    functions::build(DECLARATION.name, record, services)
}
