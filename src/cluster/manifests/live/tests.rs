//! Edits of files, step by step: no thread, no sleep.

use std::fs;
use std::path::PathBuf;
use std::thread;

use super::*;
use crate::cluster::manifests::Level;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: kubia}\n\
                       spec: {clusterIP: None, selector: {app: kubia}, ports: [{name: http, port: 80}]}\n";

const SET: &str = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: kubia}\nspec:\n  serviceName: kubia\n  \
                   replicas: 2\n  selector: {matchLabels: {app: kubia}}\n  template: {metadata: {labels: {app: kubia}}}\n";

struct Desk {
    folder: tempfile::TempDir,
    cluster: LocalCluster,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("service.yaml"), SERVICE).unwrap();
        fs::write(folder.path().join("set.yaml"), SET).unwrap();
        let cluster =
            LocalCluster::start(&Sources::from(vec![folder.path().to_path_buf()]), IndexSettings::default()).unwrap();
        Self { folder, cluster }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), text).unwrap();
    }

    /// The lines that are told of the files as they are, without the path of the folder.
    fn told(&self) -> Vec<String> {
        let path = format!("{}/", self.folder.path().display());
        self.cluster.remarks.iter().map(|remark| remark.to_string().replace(&path, "")).collect()
    }

    fn refresh(&mut self) -> Refreshed {
        self.cluster.refresh(Instant::now(), SystemTime::now())
    }

    /// The ordinals of the peers that the zone knows.
    fn peers(&self) -> Vec<usize> {
        let label = |text: &str| Label::new(text.as_bytes()).unwrap();
        let service = self.cluster.reader().service(&ServiceName::new(&label("kubia"), &label("default")));
        let Some(service) = service else { return Vec::new() };
        (0..5).filter(|ordinal| service.endpoints.get(format!("kubia-{ordinal}").as_bytes()).is_some()).collect()
    }
}

#[test]
fn what_files_say_is_served_from_the_start() {
    let desk = Desk::new();
    assert!(desk.cluster.reader().is_synced());
    assert_eq!(desk.peers(), [0, 1]);
    assert!(desk.cluster.reader().has_namespace(b"default"));
    assert_eq!(desk.cluster.summary().services.len(), 1);
}

#[test]
fn an_edit_is_served_after_the_next_look() {
    let mut desk = Desk::new();
    assert_eq!(desk.refresh(), Refreshed::Same);
    desk.write("set.yaml", &SET.replace("replicas: 2", "replicas: 3"));
    assert_eq!(desk.refresh(), Refreshed::Applied);
    assert_eq!(desk.peers(), [0, 1, 2]);
    desk.write("set.yaml", &SET.replace("replicas: 2", "replicas: 0"));
    assert_eq!(desk.refresh(), Refreshed::Applied);
    assert_eq!(desk.peers(), [0; 0]);
}

#[test]
fn files_come_and_go() {
    let mut desk = Desk::new();
    desk.write("more.yaml", &SERVICE.replace("name: kubia}", "name: more}"));
    assert_eq!(desk.refresh(), Refreshed::Applied);
    assert_eq!(desk.cluster.reader().services().len(), 2);
    fs::remove_file(desk.folder.path().join("more.yaml")).unwrap();
    assert_eq!(desk.refresh(), Refreshed::Applied);
    assert_eq!(desk.cluster.reader().services().len(), 1);
}

#[test]
fn a_broken_edit_keeps_what_its_file_said_and_holds_up_no_other() {
    let mut desk = Desk::new();
    for broken in
        [SET.replace("replicas: 2", "replicas: -2"), SET.replace("name: kubia}", "name: {{ x }}"), SET[..40].into()]
    {
        desk.write("set.yaml", &broken);
        assert_eq!(desk.refresh(), Refreshed::Applied);
        assert_eq!(desk.peers(), [0, 1], "{broken}");
        assert_eq!(desk.cluster.remarks[0].level, Level::Error);
        assert!(desk.told()[0].starts_with("set.yaml:"), "{:?}", desk.told());
        assert!(desk.told()[0].ends_with("what was read last is served on"), "{:?}", desk.told());
    }
    desk.write("more.yaml", &SERVICE.replace("name: kubia}", "name: more}"));
    desk.refresh();
    assert_eq!(desk.cluster.reader().services().len(), 2);
    fs::remove_file(desk.folder.path().join("more.yaml")).unwrap();
    desk.refresh();
    assert_eq!((desk.cluster.reader().services().len(), desk.told().len()), (1, 1));
    assert_eq!(desk.refresh(), Refreshed::Same);

    desk.write("set.yaml", SET);
    assert_eq!(desk.refresh(), Refreshed::Applied);
    assert_eq!((desk.peers(), desk.told().len()), (vec![0, 1], 0));
    desk.write("set.yaml", "# nothing is meant to be here any more\n");
    desk.refresh();
    assert_eq!(desk.peers(), [0; 0]);
}

#[test]
fn a_file_that_was_just_emptied_is_about_to_be_written() {
    let mut desk = Desk::new();
    desk.write("set.yaml", "");
    assert_eq!(desk.refresh(), Refreshed::Same);
    assert_eq!((desk.peers(), desk.cluster.unsettled().is_some()), (vec![0, 1], true));
    let later = SystemTime::now() + Duration::from_secs(5);
    assert_eq!(desk.cluster.refresh(Instant::now(), later), Refreshed::Applied);
    assert_eq!((desk.peers(), desk.cluster.unsettled()), (vec![], None));
}

#[test]
fn what_is_no_manifest_comes_and_goes_without_a_trace() {
    let mut desk = Desk::new();
    desk.write("values.yaml", "a: b\n");
    desk.refresh();
    assert!(desk.told()[0].starts_with("1 document is left out: 1 without apiVersion and kind (values.yaml)"));
    desk.write("set.yaml", &SET.replace("replicas: 2", "replicas: 3"));
    desk.refresh();
    assert_eq!(desk.peers(), [0, 1, 2]);
    fs::remove_file(desk.folder.path().join("values.yaml")).unwrap();
    desk.refresh();
    assert_eq!(desk.told().len(), 0);
}

#[test]
fn a_link_that_is_exchanged_is_an_edit() {
    let mut desk = Desk::new();
    let at = |name: &str| desk.folder.path().join(name);
    for (version, replicas) in [("..1", "replicas: 2"), ("..2", "replicas: 4")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("set.yaml"), SET.replace("replicas: 2", replicas)).unwrap();
    }
    std::os::unix::fs::symlink("..1", at("..data")).unwrap();
    fs::remove_file(at("set.yaml")).unwrap();
    std::os::unix::fs::symlink("..data/set.yaml", at("set.yaml")).unwrap();
    std::os::unix::fs::symlink("..2", at("..next")).unwrap();
    let (next, data) = (at("..next"), at("..data"));
    desk.refresh();
    assert_eq!(desk.peers(), [0, 1]);
    fs::rename(next, data).unwrap();
    assert_eq!(desk.refresh(), Refreshed::Applied);
    assert_eq!(desk.peers(), [0, 1, 2, 3]);
}

#[test]
fn objects_that_name_no_namespace_are_in_the_one_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), format!("{SERVICE}---\n{SET}")).unwrap();
    let sources = Sources { paths: vec![folder.path().into()], namespace: "prod".into() };
    let cluster = LocalCluster::start(&sources, IndexSettings::default()).unwrap();
    let service = &cluster.summary().services[0];
    assert_eq!((service.namespace.as_str(), service.endpoints.len()), ("prod", 2));
}

#[test]
fn touching_a_file_changes_nothing() {
    let mut desk = Desk::new();
    desk.write("set.yaml", SET);
    assert_eq!(desk.refresh(), Refreshed::Same);
    desk.write("set.yaml", &format!("# a remark\n{SET}"));
    let publications = lock(&desk.cluster.index).publications();
    assert_eq!(desk.refresh(), Refreshed::Applied);
    assert_eq!(lock(&desk.cluster.index).publications(), publications);
}

#[test]
fn a_start_with_a_broken_file_that_is_named_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let start = |paths: Vec<PathBuf>| LocalCluster::start(&Sources::from(paths), IndexSettings::default());
    let (bad, good) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
    fs::write(&bad, "kind: [").unwrap();
    fs::write(&good, SERVICE).unwrap();
    let error = start(vec![good.clone(), bad.clone()]).unwrap_err();
    assert!(error.place().is_some_and(|place| place.file.ends_with("a.yaml") && place.line == 1), "{error}");
    assert_eq!(start(vec![folder.path().into()]).unwrap().summary().services.len(), 1);
    // Twice the same, in two files that are named.
    fs::write(&bad, SERVICE).unwrap();
    let error = start(vec![good, bad]).unwrap_err().to_string();
    assert!(error.contains("a.yaml:1:1: Service kubia is there twice"), "{error}");
}

/// Waits for the thread that follows the files.
fn wait_for(reader: &Reader, services: usize) {
    let end = Instant::now() + Duration::from_secs(30);
    while reader.services().len() != services && Instant::now() < end {
        thread::yield_now();
    }
    assert_eq!(reader.services().len(), services);
}

#[test]
fn a_thread_follows_the_files_until_it_is_dropped() {
    let desk = Desk::new();
    let at = |name: &str| desk.folder.path().join(name);
    let more = |name: &str| SERVICE.replace("name: kubia}", &format!("name: {name}}}"));
    let reader = desk.cluster.reader();
    let following = desk.cluster.follow().unwrap();
    fs::write(at("more.yaml"), more("more")).unwrap();
    wait_for(&reader, 2);
    // A folder that comes later, with a file that an editor puts in its place.
    fs::create_dir(at("new")).unwrap();
    fs::write(at("new/.third.yaml.tmp"), more("third")).unwrap();
    fs::rename(at("new/.third.yaml.tmp"), at("new/third.yaml")).unwrap();
    wait_for(&reader, 3);
    fs::rename(at("new"), at("old")).unwrap();
    fs::write(at("old/fourth.yaml"), more("fourth")).unwrap();
    wait_for(&reader, 4);
    fs::remove_dir_all(at("old")).unwrap();
    wait_for(&reader, 2);
    drop(following);
}

#[test]
fn a_file_that_is_named_is_followed_through_links_and_replacements() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("real")).unwrap();
    fs::write(at("real/a.yaml"), SERVICE).unwrap();
    std::os::unix::fs::symlink("real/a.yaml", at("link.yaml")).unwrap();
    let cluster = LocalCluster::start(&Sources::from(vec![at("link.yaml")]), IndexSettings::default()).unwrap();
    let reader = cluster.reader();
    let following = cluster.follow().unwrap();
    let two = format!("{SERVICE}---\n{}", SERVICE.replace("name: kubia}", "name: more}"));
    fs::write(at("real/new"), &two).unwrap();
    fs::rename(at("real/new"), at("real/a.yaml")).unwrap();
    wait_for(&reader, 2);
    fs::write(at("b.yaml"), SERVICE).unwrap();
    std::os::unix::fs::symlink("b.yaml", at("next")).unwrap();
    fs::rename(at("next"), at("link.yaml")).unwrap();
    wait_for(&reader, 1);
    drop(following);
}

#[test]
fn an_edit_tells_what_it_changed_and_no_more() {
    let mut desk = Desk::new();
    let changes = |desk: &Desk| desk.cluster.summary().changes(&desk.cluster.before);
    desk.write("set.yaml", &SET.replace("replicas: 2", "replicas: 3"));
    desk.refresh();
    assert_eq!(changes(&desk), "  kubia.default.svc  headless\n+     kubia-2  127.1.0.3\n");
    desk.write("service.yaml", &SERVICE.replace("None", "10.96.0.7"));
    desk.refresh();
    assert_eq!(changes(&desk), "- kubia.default.svc  headless\n+ kubia.default.svc  ClusterIP 10.96.0.7\n");
    desk.write("set.yaml", "# nothing for now\n");
    desk.write("service.yaml", &SERVICE.replace("name: kubia}", "name: other}"));
    desk.refresh();
    assert_eq!(
        changes(&desk),
        "- kubia.default.svc  ClusterIP 10.96.0.7\n-     kubia-0  127.1.0.1\n-     kubia-1  127.1.0.2\n\
         -     kubia-2  127.1.0.3\n+ other.default.svc  headless\n"
    );
    desk.write("set.yaml", "# nothing\n");
    assert_eq!(desk.refresh(), Refreshed::Applied);
    assert_eq!(changes(&desk), "");
}

#[test]
fn a_folder_that_comes_back_is_read_again() {
    let mut desk = Desk::new();
    let away = desk.folder.path().with_extension("away");
    fs::rename(desk.folder.path(), &away).unwrap();
    assert_eq!(desk.refresh(), Refreshed::Applied);
    assert!(desk.told()[0].ends_with("what was read last is served on"), "{:?}", desk.told());
    assert_eq!(desk.peers(), [0, 1]);
    fs::rename(&away, desk.folder.path()).unwrap();
    assert_eq!(desk.refresh(), Refreshed::Applied, "so that the recovery is told");
    assert_eq!(desk.peers(), [0, 1]);
}
