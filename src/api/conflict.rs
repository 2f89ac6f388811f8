//! Taken names: the choice of a request, and the header by which its response says what was done.

use axum::response::Response;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::error::{Error, FieldError, Location, Result};
use crate::files::{Conflict, OnConflict};

/// What was done because the name was taken.
const CONFLICT: HeaderName = HeaderName::from_static("strongroom-conflict");

/// What to do if the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = OnConflict)]
pub enum ConflictChoice {
    /// `report.pdf` becomes `report (1).pdf`.
    Number,
    /// Takes the place of the file that is there. Never that of a folder.
    Replace,
    /// Does nothing, and succeeds.
    Skip,
    /// Fails with `path_taken`.
    Fail,
}

impl From<ConflictChoice> for OnConflict {
    fn from(choice: ConflictChoice) -> Self {
        match choice {
            ConflictChoice::Number => OnConflict::Number,
            ConflictChoice::Replace => OnConflict::Replace,
            ConflictChoice::Skip => OnConflict::Skip,
            ConflictChoice::Fail => OnConflict::Fail,
        }
    }
}

/// The choice in a text, such as the field of a form.
///
/// # Errors
/// [`Error::Invalid`] at `location` if it is none of the four.
pub fn parse(text: &str, location: impl Into<Location>) -> Result<OnConflict> {
    OnConflict::parse(text).ok_or_else(|| {
        let detail = "expected `number`, `replace`, `skip` or `fail`".to_owned();
        Error::Invalid(vec![FieldError { location: location.into(), code: "invalid", detail }])
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MoveParams {
    /// What to do if the new name is taken; `fail` by default. `replace` moves the file that is there to the trash; a folder
    /// is never replaced, and replaces nothing. `skip` changes nothing at all.
    #[param(inline, example = "number")]
    on_conflict: Option<ConflictChoice>,
}

impl MoveParams {
    pub fn on_conflict(&self) -> OnConflict {
        self.on_conflict.map_or(OnConflict::Fail, OnConflict::from)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RestoreParams {
    /// What to do if the name has been taken; `number` by default. `replace` moves the file that is there to the trash; a
    /// folder is never replaced, and replaces nothing. `skip` leaves it in the trash.
    #[param(inline, example = "fail")]
    on_conflict: Option<ConflictChoice>,
}

impl RestoreParams {
    pub fn on_conflict(&self) -> OnConflict {
        self.on_conflict.map_or(OnConflict::Number, OnConflict::from)
    }
}

/// The response, with what was done about a name that was taken.
pub fn with_conflict(mut response: Response, conflict: Option<Conflict>) -> Response {
    if let Some(conflict) = conflict {
        response.headers_mut().insert(CONFLICT, HeaderValue::from_static(conflict.as_str()));
    }
    response
}
