//! Lists what a mirror would hold, once, for those who want to look and not to follow.

use std::fmt;
use std::time::Duration;

use super::client::Api;
use super::connection::ConnectError;
use super::failure::WatchFailure;
use super::metrics::plural;
use super::options::Options;
use super::pages::Pages;
use super::request::{ApiRequest, PAGE};
use crate::cluster::facts::{BadObject, Fact, Kind};

/// Everything that a cluster says about its names at one time.
#[derive(Debug, Default)]
pub struct Listed {
    /// The facts of all objects.
    pub facts: Vec<Fact>,
    /// Objects that were skipped in whole or in part.
    pub bad: Vec<BadObject>,
}

/// The number of times that a list which breaks off is begun.
const ATTEMPTS: u32 = 3;

/// Lists every kind that these options name.
///
/// # Errors
/// When the credentials cannot be used, or the API server does not answer or refuses.
pub async fn list(options: &Options) -> Result<Listed, ListError> {
    let mut listed = Listed::default();
    for kind in options.kinds() {
        let mut api = Api::new(options.connection.clone(), options.timing, None, options.clock.clone())?;
        let request = ApiRequest::new(kind, options.selector(kind).as_deref());
        let mut attempt = 1;
        loop {
            match whole(&mut api, &request, kind, options.timing.list_idle).await {
                Ok(more) => {
                    listed.facts.extend(more.facts);
                    listed.bad.extend(more.bad);
                    break;
                }
                // What a server refuses it refuses again.
                Err(failure) if attempt == ATTEMPTS || failure.is_final() => {
                    return Err(ListError(format!("{}: cannot list {}: {failure}", options.connection, plural(kind))));
                }
                Err(_) => {
                    attempt += 1;
                    tokio::time::sleep(options.timing.backoff_max).await;
                    api.wear_out();
                }
            }
        }
    }
    Ok(listed)
}

async fn whole(api: &mut Api, request: &ApiRequest, kind: Kind, idle: Duration) -> Result<Listed, WatchFailure> {
    let mut listed = Listed::default();
    let (mut pages, mut token) = (Pages::default(), None::<String>);
    loop {
        let response = api.list(&request.page(PAGE, token.as_deref()), idle).await?;
        let page = response.page(kind, idle).await?;
        listed.facts.extend(page.facts);
        listed.bad.extend(page.bad);
        match pages.next(page.continue_token)? {
            Some(next) => token = Some(next),
            None => return Ok(listed),
        }
    }
}

//----------- ListError -------------------------------------------------------

/// The reason why a cluster could not be listed: the connection, the kind and what the API server said.
#[derive(Debug)]
pub struct ListError(String);

impl From<ConnectError> for ListError {
    fn from(error: ConnectError) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ListError {}
