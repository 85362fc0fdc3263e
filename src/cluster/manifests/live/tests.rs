//! Edits of files, step by step: no thread, no sleep.

use super::*;

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
        let cluster = LocalCluster::start(vec![folder.path().into()], Settings::default()).unwrap();
        Self { folder, cluster }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), text).unwrap();
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
    assert!(matches!(desk.refresh(), Refreshed::Same));
    desk.write("set.yaml", &SET.replace("replicas: 2", "replicas: 3"));
    assert!(matches!(desk.refresh(), Refreshed::Applied));
    assert_eq!(desk.peers(), [0, 1, 2]);
    desk.write("set.yaml", &SET.replace("replicas: 2", "replicas: 0"));
    assert!(matches!(desk.refresh(), Refreshed::Applied));
    assert_eq!(desk.peers(), [0; 0]);
}

#[test]
fn files_come_and_go() {
    let mut desk = Desk::new();
    desk.write("more.yaml", &SERVICE.replace("name: kubia}", "name: more}"));
    assert!(matches!(desk.refresh(), Refreshed::Applied));
    assert_eq!(desk.cluster.reader().services().len(), 2);
    fs::remove_file(desk.folder.path().join("more.yaml")).unwrap();
    assert!(matches!(desk.refresh(), Refreshed::Applied));
    assert_eq!(desk.cluster.reader().services().len(), 1);
}

#[test]
fn a_broken_edit_keeps_what_was_served_and_is_told_once() {
    let mut desk = Desk::new();
    desk.write("set.yaml", &SET.replace("replicas: 2", "replicas: -2"));
    let Refreshed::Broken(error) = desk.refresh() else { panic!("broken") };
    assert!(
        error.to_string().ends_with(
            "set.yaml:6:13: spec.replicas: expected a whole number from 0 to 2147483647, found -2 (a number)"
        ),
        "{error}"
    );
    assert_eq!(desk.peers(), [0, 1]);
    assert!(matches!(desk.refresh(), Refreshed::Same));
    desk.write("set.yaml", SET);
    assert!(matches!(desk.refresh(), Refreshed::Applied));
    assert_eq!(desk.peers(), [0, 1]);
}

#[test]
fn touching_a_file_changes_nothing() {
    let mut desk = Desk::new();
    desk.write("set.yaml", SET);
    assert!(matches!(desk.refresh(), Refreshed::Same));
    desk.write("set.yaml", &format!("# a remark\n{SET}"));
    let publications = lock(&desk.cluster.index).publications();
    assert!(matches!(desk.refresh(), Refreshed::Applied));
    assert_eq!(lock(&desk.cluster.index).publications(), publications);
}

#[test]
fn a_start_with_broken_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), "kind: [").unwrap();
    let error = LocalCluster::start(vec![folder.path().into()], Settings::default()).unwrap_err();
    assert!(error.place().is_some_and(|place| place.file.ends_with("a.yaml")), "{error}");
}

#[test]
fn a_thread_follows_the_files_until_it_is_dropped() {
    let desk = Desk::new();
    let reader = desk.cluster.reader();
    let following = desk.cluster.follow().unwrap();
    fs::write(desk.folder.path().join("more.yaml"), SERVICE.replace("name: kubia}", "name: more}")).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while reader.services().len() < 2 && Instant::now() < end {
        thread::yield_now();
    }
    assert_eq!(reader.services().len(), 2);
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
    desk.write("set.yaml", "");
    desk.write("service.yaml", &SERVICE.replace("name: kubia}", "name: other}"));
    desk.refresh();
    assert_eq!(
        changes(&desk),
        "- kubia.default.svc  ClusterIP 10.96.0.7\n-     kubia-0  127.1.0.1\n-     kubia-1  127.1.0.2\n\
         -     kubia-2  127.1.0.3\n+ other.default.svc  headless\n"
    );
    desk.write("set.yaml", "# nothing\n");
    assert!(matches!(desk.refresh(), Refreshed::Applied));
    assert_eq!(changes(&desk), "");
}

#[test]
fn a_folder_that_comes_back_is_read_again() {
    let mut desk = Desk::new();
    let away = desk.folder.path().with_extension("away");
    fs::rename(desk.folder.path(), &away).unwrap();
    assert!(matches!(desk.refresh(), Refreshed::Broken(_)));
    fs::rename(&away, desk.folder.path()).unwrap();
    assert!(matches!(desk.refresh(), Refreshed::Applied), "so that the recovery is told");
    assert_eq!(desk.peers(), [0, 1]);
}
