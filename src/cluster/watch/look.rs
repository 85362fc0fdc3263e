//! A look at one namespace, for somebody who asks: bounded in objects, octets and time, and never on the way of an answer.

use std::time::Duration;

use super::client::Api;
use super::options::Options;
use super::request::ApiRequest;
use crate::cluster::details::{
    self, DetailPage, Details, PodDetail, RawObject, RawPod, RawService, RawSlice, ServiceDetail,
};
use crate::cluster::facts::Kind;

/// Objects of one kind that are looked at.
const MOST_OBJECTS: u32 = 500;
/// Octets of one list that are held.
const MOST_OCTETS: usize = 16 << 20;
/// The time for all of it.
const PATIENCE: Duration = Duration::from_secs(4);

/// Reads what a namespace holds. What cannot be read is a gap, with its reason.
pub(super) async fn look(options: &Options, namespace: &str) -> Details {
    let mut details = Details::default();
    let api = Api::new(options.connection.clone(), options.timing, None, options.clock.clone());
    let mut api = match api {
        Ok(api) => api,
        Err(error) => {
            details.gaps.push(format!("the API was not asked: {error}"));
            return details;
        }
    };
    let end = tokio::time::Instant::now() + PATIENCE;
    let mut gaps = Vec::new();
    details.services = list::<RawService>(&mut api, Kind::Service, namespace, end, &mut gaps)
        .await
        .map(|services| services.into_iter().map(ServiceDetail::from).collect());
    details.endpoints = list::<RawSlice>(&mut api, Kind::EndpointSlice, namespace, end, &mut gaps)
        .await
        .map(|slices| slices.into_iter().flat_map(RawSlice::into_endpoints).collect());
    details.pods = list::<RawPod>(&mut api, Kind::Pod, namespace, end, &mut gaps)
        .await
        .map(|pods| pods.into_iter().map(PodDetail::from).collect());
    details.gaps = gaps;
    details
}

async fn list<T: RawObject>(
    api: &mut Api,
    kind: Kind,
    namespace: &str,
    end: tokio::time::Instant,
    gaps: &mut Vec<String>,
) -> Option<Vec<T>> {
    let uri = ApiRequest::of_namespace(kind, namespace, MOST_OBJECTS);
    let what = format!("objects of kind {} in {namespace}", kind.as_str());
    let read = async {
        let response = api.list_as_json(&uri, PATIENCE).await.map_err(|failure| failure.to_string())?;
        let body = response.body(MOST_OCTETS).await.map_err(|failure| failure.to_string())?;
        details::page::<T>(namespace, &body)
    };
    let page = tokio::time::timeout_at(end, read).await;
    match page.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs()))) {
        Ok(DetailPage { items, more }) => {
            if more {
                gaps.push(format!("of the {what} the first {MOST_OBJECTS} alone were looked at"));
            }
            Some(items)
        }
        Err(why) => {
            gaps.push(format!("the {what} could not be looked at: {why}"));
            None
        }
    }
}
