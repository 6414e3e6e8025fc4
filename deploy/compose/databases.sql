-- One database a service.
CREATE DATABASE intake TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
CREATE DATABASE registry TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
CREATE DATABASE risk TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
CREATE DATABASE referral TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
CREATE DATABASE audit TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
CREATE DATABASE gateway TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';

-- The log's service runs under a role of its own, which can add to the log and not change it.
\getenv password LOG_PASSWORD
CREATE ROLE doorstep_log LOGIN PASSWORD :'password';
