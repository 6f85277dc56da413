//! Chromium without a window, told what to do by WebDriver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::site::{is_there, quiet};
use super::support::server::{Client, eventually};

/// The key of an element's name in WebDriver's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A running browser, ended when it is dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    /// `/session/…`
    session: String,
    process: Option<rustix::process::Pid>,
    _home: tempfile::TempDir,
}

impl Browser {
    /// Starts one, with its pages' scripts or without. `None`, and said, where it is not installed.
    pub fn start(scripts: bool) -> Option<Self> {
        if !is_there("chromium") || !is_there("chromedriver") {
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromedriver");
        quiet(&mut command, home.path());
        command.arg("--port=0").env("TMPDIR", home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map(Result::unwrap);
        let port = lines.find_map(|line| {
            line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
        });
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser = Self {
            driver,
            port: port.unwrap(),
            session: String::new(),
            process: None,
            _home: home,
        };
        let session = browser.call("POST", "/session", &capabilities(scripts));
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        let process = session["capabilities"]["goog:processID"].as_i64();
        browser.process =
            process.and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?));
        Some(browser)
    }

    /// A command of WebDriver and its value; an error fails the test.
    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut client = Client::new(TcpStream::connect(("127.0.0.1", self.port)).unwrap());
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let (port, session, length) = (self.port, &self.session, body.len());
        client.send(
            format!(
                "{method} {session}{path} HTTP/1.1\r\nHost: localhost:{port}\r\n\
                 Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
        let (head, answer) = client.answer();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{method} {path} {body}: {answer}");
        answer["value"].clone()
    }

    /// Opens a page and waits until it is loaded.
    pub fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    pub fn url(&self) -> String {
        self.call("GET", "/url", &Value::Null).as_str().unwrap().to_owned()
    }

    /// The elements that a selector finds, each as WebDriver names it.
    pub fn find(&self, css: &str) -> Vec<String> {
        let found = self.call("POST", "/elements", &json!({"using": "css selector", "value": css}));
        let name = |element: &Value| element[ELEMENT].as_str().unwrap().to_owned();
        found.as_array().unwrap().iter().map(name).collect()
    }

    /// The texts of elements, as they are seen.
    pub fn texts(&self, css: &str) -> Vec<String> {
        self.find(css).iter().map(|element| self.text(element)).collect()
    }

    fn text(&self, element: &str) -> String {
        let path = format!("/element/{element}/text");
        self.call("GET", &path, &Value::Null).as_str().unwrap().to_owned()
    }

    /// Clicks with the mouse on the element with this text, and waits for a page that it leads to.
    #[track_caller]
    pub fn click(&self, css: &str, text: &str) {
        let found = self.find(css).into_iter().find(|element| self.text(element) == text);
        let element = found.unwrap_or_else(|| panic!("no {css} with the text {text}"));
        self.call("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Chooses a file, or types, into the first element found.
    pub fn put_in(&self, css: &str, text: &str) {
        let element = &self.find(css)[0];
        self.call("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// What a function's body returns, or the promise that it returns comes to.
    pub fn run(&self, body: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({"script": body, "args": []}))
    }

    /// A command of the browser's own protocol: what a hand does and WebDriver has no word for.
    pub fn tell(&self, command: &str, parameters: &Value) -> Value {
        self.call("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// Waits until these texts are seen.
    pub fn shows(&self, css: &str, texts: &[&str]) {
        let shown = || {
            self.run(&format!(
                "return [...document.querySelectorAll({css:?})].map(found => found.innerText)"
            ))
        };
        eventually(|| shown() == json!(texts), &format!("{texts:?} instead of {}", shown()));
    }

    /// What the console says is wrong: scripts that fail, and what a policy forbade them.
    pub fn complaints(&self) -> Vec<Value> {
        let mut log = self.call("POST", "/se/log", &json!({"type": "browser"}));
        std::mem::take(log.as_array_mut().unwrap())
    }
}

impl Browser {
    /// Asks it to end: else it leaves its folders, in which its processes still write.
    fn quit(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let (session, port) = (&self.session, self.port);
        let head = format!("DELETE {session} HTTP/1.1\r\nHost: localhost:{port}\r\n");
        stream.write_all(format!("{head}Content-Length: 0\r\n\r\n").as_bytes())?;
        stream.read_exact(&mut [0])
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // All of it may have ended already, and nobody is left to be told.
        let _quit = self.quit().is_ok();
        if let Some(process) = self.process {
            let _killed = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        let _killed = self.driver.kill().is_ok();
        let _waited = self.driver.wait().is_ok();
    }
}

fn capabilities(scripts: bool) -> Value {
    // 2: forbidden.
    let preferences = if scripts {
        json!({})
    } else {
        json!({"profile.managed_default_content_settings.javascript": 2})
    };
    json!({"capabilities": {"alwaysMatch": {
        "goog:loggingPrefs": {"browser": "ALL"},
        "goog:chromeOptions": {
            "prefs": preferences,
            // Root in a container has no sandbox, and /dev/shm may be small.
            "args": [
                "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                "--no-proxy-server", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-extensions", "--window-size=1000,800",
            ],
        },
    }}})
}
