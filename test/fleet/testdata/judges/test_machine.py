"""What the policy beside this file is meant to bring about, written from its intent and judged by testinfra."""
import configparser
import json

import pytest

DEVELOPERS = ["ada", "ben", "cleo", "dora", "emil", "fay", "gus", "hal", "ines", "jon", "kim", "lea"]
SERVICES = [("collector", 7001), ("indexer", 7002), ("mailer", 7003), ("renderer", 7004), ("scheduler", 7005), ("thumbnailer", 7006)]
SITES = [("shop", 8081), ("docs", 8082), ("intern", 8083), ("blog", 8084), ("status", 8085)]
JOBS = [("backup", "17 2 * * *"), ("rotate", "0 0 * * 0"), ("report", "30 6 1 * *"), ("sweep", "*/10 * * * *"), ("renew", "@daily")]
WORKERS = ["alpha", "beta", "gamma", "delta"]
HOSTS = ["db-1", "db-2", "cache", "mail", "git", "wiki", "ntp", "proxy"]
APPS = ["billing", "catalog", "search", "login", "export", "media"]
FETCH = r"""my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]") or die $@;
            print $s "GET / HTTP/1.0\r\n\r\n"; print while <$s>;"""
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIIHUCGi3nH8s1+7b5RiJx0RvyLoMYDm3kmzhvb1DXMDd"


@pytest.mark.parametrize("name", ["openssh-server", "nginx-light", "nftables", "tree", "sudo"])
def test_package(host, name):
    assert host.package(name).is_installed


def test_package_removed(host):
    assert not host.package("fleet-demo").is_installed


@pytest.mark.parametrize("name", ["ssh", "nginx"] + ["worker-" + w for w in WORKERS])
def test_service(host, name):
    assert host.service(name).is_running
    assert host.service(name).is_enabled


def test_service_disabled(host):
    assert not host.service("e2scrub_reap").is_enabled


@pytest.mark.parametrize("worker", WORKERS)
def test_worker(host, worker):
    shown = host.check_output("systemctl show worker-%s -P Environment -P DynamicUser -P NeedDaemonReload", worker).split()
    assert shown == ["WORKER=" + worker, "yes", "no"] or sorted(shown) == sorted(["WORKER=" + worker, "yes", "no"])


def test_groups(host):
    assert host.group("developers").gid == 6000
    assert host.group("operators").gid == 6001


@pytest.mark.parametrize("name", DEVELOPERS)
def test_developer(host, name):
    user = host.user(name)
    assert user.shell == "/bin/bash"
    assert user.gecos == name + " of development"
    assert "developers" in user.groups
    assert "operators" not in user.groups
    home = host.file(user.home)
    assert home.is_directory and home.user == name
    keys = host.file(user.home + "/.ssh/authorized_keys")
    assert keys.user == name and keys.mode == 0o600
    assert keys.content_string.splitlines() == ["ssh-ed25519 %s %s@laptop" % (KEY, name)]


@pytest.mark.parametrize("name", ["ada", "cleo", "kim"])
def test_operator(host, name):
    assert set(host.user("oncall-" + name).groups) >= {"developers", "operators"}
    allowed = host.check_output("sudo -l -U oncall-%s", name)
    assert "NOPASSWD: /usr/bin/systemctl restart nginx" in allowed
    assert host.run("runuser -u oncall-%s -- sudo -n systemctl restart nginx", name).rc == 0
    assert host.run("runuser -u oncall-%s -- sudo -n systemctl restart ssh", name).rc != 0


def test_developers_are_no_operators(host):
    assert host.run("runuser -u ben -- sudo -n systemctl restart nginx").rc != 0


@pytest.mark.parametrize("name,number", SERVICES)
def test_service_account(host, name, number):
    user = host.user("svc-" + name)
    assert (user.uid, user.gid, user.group) == (number, number, name)
    assert user.shell == "/usr/sbin/nologin"
    folder = host.file("/srv/" + name)
    assert (folder.user, folder.group, folder.mode) == ("svc-" + name, name, 0o750)


def test_sshd(host):
    assert host.socket("tcp://0.0.0.0:2222").is_listening
    assert not host.socket("tcp://0.0.0.0:22").is_listening
    config = host.file("/etc/ssh/sshd_config")
    assert config.mode == 0o600
    effective = host.check_output("sshd -T")
    for line in ["permitrootlogin no", "passwordauthentication no", "allowgroups developers", "allowgroups operators"]:
        assert line in effective.splitlines()
    assert KEY in host.check_output("ssh-keygen -F git.example.com -f /etc/ssh/ssh_known_hosts")


@pytest.mark.parametrize("name,port", SITES)
def test_site(host, name, port):
    assert host.socket("tcp://0.0.0.0:%d" % port).is_listening
    page = host.check_output("perl -MIO::Socket -e %s %s", FETCH, str(port))
    assert "This is %s." % name in page and "X-Team: " + name in page
    assert host.file("/etc/nginx/sites-enabled/" + name).linked_to == "/etc/nginx/sites-available/" + name
    assert host.file("/srv/www/" + name).user == "www-data"


def test_default_site_is_gone(host):
    assert not host.file("/etc/nginx/sites-enabled/default").exists
    assert not host.socket("tcp://0.0.0.0:80").is_listening


def test_firewall(host):
    table = json.loads(host.check_output("nft -j list table inet judges"))["nftables"]
    chains = {c["chain"]["name"]: c["chain"]["policy"] for c in table if "chain" in c and "policy" in c["chain"]}
    assert chains["input"] == "drop" and chains["output"] == "accept"
    ports = [m["match"]["right"] for r in table if "rule" in r for m in r["rule"]["expr"] if "match" in m and m["match"]["left"].get("payload", {}).get("field") == "dport"]
    assert ports == [2222, {"range": [8081, 8085]}]


@pytest.mark.parametrize("name,schedule", JOBS)
def test_job(host, name, schedule):
    program = host.file("/usr/local/sbin/" + name)
    assert program.mode == 0o755
    lines = host.check_output("grep -rh %s /etc/cron.d", "/usr/local/sbin/" + name).splitlines()
    assert lines == ["%s root /usr/local/sbin/%s" % (schedule, name)]


@pytest.mark.parametrize("name", ["disk", "memory", "certificates"])
def test_timer(host, name):
    assert host.service("check-%s.timer" % name).is_running
    assert "*-*-* *:30:00" in host.check_output("systemctl show -P TimersCalendar check-%s.timer", name)


@pytest.mark.parametrize("number,name", list(enumerate(HOSTS, 11)))
def test_host_entry(host, number, name):
    for asked in (name, name + ".example.com"):
        assert host.check_output("getent hosts %s", asked).split()[0] == "192.0.2.%d" % number


def test_system(host):
    assert host.check_output("hostname") == "judged"
    assert host.check_output("date +%Z -d 2026-07-01") == "CEST"
    assert host.sysctl("net.ipv4.conf.all.rp_filter") == 1
    assert host.sysctl("net.ipv4.ip_forward") == 0
    assert host.sysctl("net.ipv4.conf.all.accept_redirects") == 0
    mount = host.mount_point("/srv/scratch")
    assert mount.exists and mount.filesystem == "tmpfs" and {"nosuid", "nodev", "size=8192k"} <= set(mount.options)
    assert host.file("/etc/motd").content_string == "This machine is kept by Vigo.\n"
    assert host.check_output("bash -lc umask") == "0027"
    assert host.check_output("grep -c umask.027 /etc/profile") == "1"
    journal = configparser.ConfigParser()
    journal.read_string(host.file("/etc/systemd/journald.conf").content_string)
    assert (journal["Journal"]["Storage"], journal["Journal"]["SystemMaxUse"]) == ("persistent", "50M")


@pytest.mark.parametrize("name", APPS)
def test_app(host, name):
    folder = host.file("/etc/apps/" + name)
    assert (folder.mode, folder.group) == (0o750, "developers")
    conf = host.file("/etc/apps/%s/app.conf" % name)
    assert conf.mode == 0o640
    assert conf.content_string == "name = %s\nhost = judged\nfamily = debian\n" % name
    assert json.loads(host.file("/etc/apps/%s/flags.json" % name).content_string) == {"beta": False, "owner": name}
    assert host.file("/etc/apps/%s.conf" % name).linked_to == "/etc/apps/%s/app.conf" % name
    assert "[%s]\nconfig = /etc/apps/%s.conf\n" % (name, name) in host.file("/etc/apps/all.conf").content_string


def test_limits(host):
    assert host.check_output("su ben -c 'ulimit -Sn; ulimit -Hn; ulimit -Hu'").split() == ["4096", "8192", "500"]
    assert host.check_output("grep ^PASS_MAX_DAYS /etc/login.defs").split() == ["PASS_MAX_DAYS", "365"]


@pytest.mark.parametrize("command", [
    "visudo -cq", "sshd -t", "nginx -t", "nft -c -f /etc/nftables.conf", "mount -fa", "pwck -rq", "grpck -r",
    "systemd-analyze verify " + " ".join("worker-%s.service" % w for w in WORKERS) + " check-disk.timer",
])
def test_tools_are_content(host, command):
    done = host.run(command)
    assert done.rc == 0, done.stdout + done.stderr


def test_packages_are_whole(host):
    """Only configuration files may differ from what dpkg installed."""
    differ = host.run("dpkg --verify").stdout.splitlines()
    assert [line for line in differ if " c /etc/" not in line] == []
