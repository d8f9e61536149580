# The machine of movein/module.yaml and movein/site.yml, said to Puppet, with its core types, the modules cron_core, host_core,
# mount_core and sshkeys_core that were core types until Puppet 6, and file_line of stdlib.

File { owner => 'root', group => 'root' }

# Packages
package { ['cron', 'logrotate', 'nginx-light', 'openssh-server', 'sudo', 'tree']:
  ensure => present,
}
package { 'fleet-demo':
  ensure => present,
  mark   => 'hold',
}
package { 'iputils-ping':
  ensure => absent,
}

# People
group { 'ops': gid => 2500 }
group { 'deploy': gid => 2501 }
group { 'app':
  gid    => 850,
  system => true,
}
user { 'alice':
  uid        => 2001,
  comment    => 'Alice Admin',
  shell      => '/bin/bash',
  groups     => ['adm', 'ops'],
  managehome => true,
}
user { 'bob':
  uid        => 2002,
  comment    => 'Bob Builder',
  shell      => '/bin/sh',
  managehome => true,
  expiry     => '2030-12-31',
}
user { 'deploy':
  uid        => 2501,
  gid        => 'deploy',
  shell      => '/bin/sh',
  managehome => true,
}
user { 'app-runner':
  uid    => 850,
  gid    => 'app',
  home   => '/srv/app',
  shell  => '/usr/sbin/nologin',
  system => true,
}
user { 'games': ensure => absent }
ssh_authorized_key { 'alice@laptop':
  user => 'alice',
  type => 'ssh-ed25519',
  key  => 'AAAAC3NzaC1lZDI1NTE5AAAAIIHUCGi3nH8s1+7b5RiJx0RvyLoMYDm3kmzhvb1DXMDd',
}
ssh_authorized_key { 'ci@build':
  user    => 'deploy',
  type    => 'ssh-ed25519',
  key     => 'AAAAC3NzaC1lZDI1NTE5AAAAIGsWpBVNpTEKcr1kUyHHVn7RAr6DiBZp3Y1mTXGIaqzi',
  options => ['no-pty', 'no-port-forwarding'],
}
file { '/etc/sudoers.d/ops':
  content      => "%ops ALL=(ALL) NOPASSWD: /usr/bin/systemctl restart app\n",
  mode         => '0440',
  validate_cmd => '/usr/sbin/visudo -cf %',
  require      => Package['sudo'],
}
file_line { 'umask of new homes':
  path  => '/etc/login.defs',
  line  => "UMASK\t\t027",
  match => '^UMASK\s',
}

# The system
file { '/etc/localtime':
  ensure => link,
  target => '/usr/share/zoneinfo/Europe/Vienna',
}
file { '/etc/timezone': content => "Europe/Vienna\n" }
$addresses = { 'db' => '192.0.2.10', 'cache' => '192.0.2.11', 'mail' => '2001:db8::25' }
$addresses.each |$name, $address| {
  host { "${name}.example.com":
    ip           => $address,
    host_aliases => [$name],
  }
}
file { '/etc/motd': content => "This machine was set up with care.\n" }
file { '/etc/issue': content => "Authorised use only.\n" }
file { '/etc/profile.d/site.sh': content => "export EDITOR=vi\n" }
file { '/etc/environment': ensure => file }
file_line { 'language':
  path    => '/etc/environment',
  line    => 'LANG=C.UTF-8',
  require => File['/etc/environment'], # file_line makes no file
}
# Puppet has no block of lines. New lines go to the end of the file, in this order.
['# BEGIN ANSIBLE MANAGED BLOCK aliases', "alias ll='ls -l'", "alias ..='cd ..'", '# END ANSIBLE MANAGED BLOCK aliases'].each |$line| {
  file_line { $line:
    path => '/etc/bash.bashrc',
    line => $line,
  }
}
file_line { 'journal is kept':
  path   => '/etc/systemd/journald.conf',
  line   => 'Storage=persistent',
  match  => '^#?Storage=',
  notify => Service['systemd-journald'],
}
service { 'systemd-journald': ensure => running }
file_line { 'no core dumps':
  path => '/etc/security/limits.conf',
  line => '*               hard    core            0',
}
# sysctl is in modules of others. The running kernel is not looked at here.
file { '/etc/sysctl.d/50-site.conf':
  content => "net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.log_martians = 1\n",
}
~> exec { '/sbin/sysctl -q -p /etc/sysctl.d/50-site.conf': refreshonly => true }
service { 'e2scrub_reap': enable => false }
service { 'systemd-pstore': enable => mask }
file { '/srv/scratch': ensure => directory }
mount { '/srv/scratch':
  ensure  => mounted,
  device  => 'tmpfs',
  fstype  => 'tmpfs',
  options => 'size=1m,nosuid',
  dump    => 0,
  pass    => 0,
}
mount { '/srv/archive':
  ensure  => present,
  device  => 'nas.example.com:/archive',
  fstype  => 'nfs',
  options => 'noauto,ro',
  dump    => 0,
  pass    => 0,
}

# ssh
file { '/etc/ssh/sshd_config.d/50-site.conf':
  content => "PermitRootLogin no\nPasswordAuthentication no\n",
  mode    => '0600',
  require => Package['openssh-server'],
  notify  => Service['ssh'],
}
service { 'ssh':
  ensure => running,
  enable => true,
}
sshkey { 'git.example.com':
  type => 'ssh-ed25519',
  key  => 'AAAAC3NzaC1lZDI1NTE5AAAAIIHUCGi3nH8s1+7b5RiJx0RvyLoMYDm3kmzhvb1DXMDd',
}
sshkey { 'backup.example.com':
  type => 'ssh-ed25519',
  key  => 'AAAAC3NzaC1lZDI1NTE5AAAAIGsWpBVNpTEKcr1kUyHHVn7RAr6DiBZp3Y1mTXGIaqzi',
}

# The application
file {
  default:
    ensure => directory;
  '/srv/app':
    owner => 'app-runner', group => 'app', mode => '0750';
  '/var/log/app':
    owner => 'app-runner', group => 'adm', mode => '2750';
  '/etc/app':
    group => 'ops', mode => '0750';
  '/etc/app/conf.d':
    mode => '0755';
  '/srv/backup':
    mode => '0700';
  '/srv/www': ; # Puppet makes no folders above one
  '/srv/www/shop':
    owner => 'www-data', group => 'www-data', mode => '0755';
  '/etc/systemd/system/app.service.d': ;
}
file { '/etc/app/app.conf':
  content => "[app]\nport = 8080\n",
  owner   => 'app-runner',
  group   => 'ops',
  mode    => '0640',
  notify  => Service['app'],
}
$settings = { '10-cache' => 'size = 64m', '20-queue' => 'workers = 4' }
$settings.each |$name, $text| {
  file { "/etc/app/conf.d/${name}.conf":
    content => "[${name}]\n${text}\n",
    mode    => '0644',
    notify  => Service['app'],
  }
}
file { '/etc/app/current':
  ensure => link,
  target => 'app.conf',
}
file { '/etc/app/legacy.conf': ensure => absent }
file { '/etc/systemd/system/app.service':
  content => @(END),
    [Unit]
    Description=The application

    [Service]
    User=app-runner
    ExecStart=/bin/sleep infinity

    [Install]
    WantedBy=multi-user.target
    | END
}
file { '/etc/systemd/system/app.service.d/nice.conf':
  content => "[Service]\nNice=5\n",
  notify  => Service['app'],
}
service { 'app':
  ensure  => running,
  enable  => true,
  require => File['/etc/systemd/system/app.service'],
}
file { '/etc/logrotate.d/app':
  content => "/var/log/app/*.log {\n\tweekly\n\trotate 8\n\tmissingok\n}\n",
  mode    => '0644',
  require => Package['logrotate'],
}
file { '/usr/local/bin/backup':
  content => "#!/bin/sh\nexec tar -C /srv -cf /srv/backup/app.tar app\n",
  mode    => '0755',
}
file { '/usr/local/sbin/backup':
  ensure => link,
  target => '../bin/backup',
}
file { '/etc/systemd/system/backup.service':
  content => @(END),
    [Unit]
    Description=Backup

    [Service]
    Type=oneshot
    ExecStart=/usr/local/bin/backup
    | END
}
file { '/etc/systemd/system/backup.timer':
  content => @(END),
    [Unit]
    Description=Backup at night

    [Timer]
    OnCalendar=*-*-* 03:00:00

    [Install]
    WantedBy=timers.target
    | END
}
service { 'backup.timer':
  ensure  => running,
  enable  => true,
  require => File['/etc/systemd/system/backup.service', '/etc/systemd/system/backup.timer'],
}
file { '/etc/cron.d/site':
  content => "MAILTO=ops@example.com\n15 4 * * 1 root /usr/local/bin/backup\n",
  mode    => '0644',
  require => Package['cron'],
}
cron { 'report':
  command => '/usr/bin/true',
  user    => 'deploy',
  hour    => 6,
  minute  => 30,
}
service { 'cron':
  ensure => running,
  enable => true,
}
['short', 'long'].each |$length| {
  file { "/usr/local/bin/greet-${length}":
    content => "#!/bin/sh\necho ${length}\n",
    mode    => '0755',
  }
}
# alternatives is in modules of others.
exec { 'a choice of greeting':
  command => '/usr/bin/update-alternatives --install /usr/local/bin/greet greet /usr/local/bin/greet-long 10',
  creates => '/etc/alternatives/greet',
  require => File['/usr/local/bin/greet-long'],
}
-> exec { 'the greeting':
  command  => '/usr/bin/update-alternatives --set greet /usr/local/bin/greet-long',
  unless   => 'q=$(update-alternatives --query greet) && echo "$q" | grep -qx "Status: manual" && echo "$q" | grep -qx "Value: /usr/local/bin/greet-long"',
  path     => '/usr/bin:/bin',
  provider => shell,
}

# The web server
file { '/srv/www/shop/index.html':
  content => "<h1>Shop</h1>\n",
  owner   => 'www-data',
  group   => 'www-data',
  mode    => '0644',
}
file { '/etc/nginx/sites-available/shop':
  content => "server {\n\tlisten 8081;\n\troot /srv/www/shop;\n}\n",
  mode    => '0644',
  require => Package['nginx-light'],
  notify  => Service['nginx'],
}
file { '/etc/nginx/sites-enabled/shop':
  ensure  => link,
  target  => '../sites-available/shop',
  require => Package['nginx-light'],
  notify  => Service['nginx'],
}
file { '/etc/nginx/sites-enabled/default':
  ensure  => absent,
  require => Package['nginx-light'],
  notify  => Service['nginx'],
}
service { 'nginx':
  ensure  => running,
  enable  => true,
  restart => '/bin/systemctl reload nginx',
}
