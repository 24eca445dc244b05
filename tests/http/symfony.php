<?php
// Publishes two updates with the Mercure component of Symfony, and prints their ids. Arguments: URL of the hub, token.
require '/usr/share/php/Symfony/Component/Mercure/autoload.php';

use Symfony\Component\Mercure\Hub;
use Symfony\Component\Mercure\Jwt\StaticTokenProvider;
use Symfony\Component\Mercure\Update;

$hub = new Hub($argv[1], new StaticTokenProvider($argv[2]));
$topics = ['https://e.com/books/1', 'https://e.com/books'];
echo $hub->publish(new Update($topics, "{\"title\":1}\nline 2", true, 'urn:id:1', 'news', 5000)), "\n";
echo $hub->publish(new Update('https://e.com/books/2', 'public')), "\n";
