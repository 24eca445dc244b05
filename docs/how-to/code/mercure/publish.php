<?php
// What a controller does. In an application of Symfony, the framework loads the classes and makes $hub.
require '/usr/share/php/Symfony/Component/Mercure/autoload.php';

use Symfony\Component\Mercure\Hub;
use Symfony\Component\Mercure\Jwt\StaticTokenProvider;
use Symfony\Component\Mercure\Update;

$hub = new Hub(getenv('MERCURE_URL'), new StaticTokenProvider(getenv('MERCURE_JWT')));
$hub->publish(new Update('https://example.com/books/1', json_encode(['stock' => 5])));
